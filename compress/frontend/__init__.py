"""Conversion of a torch.nn.Module to a list of float layers, and execution of single layers."""
