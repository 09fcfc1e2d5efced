"""Recurrent layers of torch with plain parameters, in place of torch.nn.GRU and torch.nn.LSTM."""
