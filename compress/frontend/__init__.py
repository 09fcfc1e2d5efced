"""A torch.nn.Module becomes a list of float layers, which can also be executed one by one."""
