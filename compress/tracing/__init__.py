"""torch networks as torch.fx graphs of pure, supported operations."""
