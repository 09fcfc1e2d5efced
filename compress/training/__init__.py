"""Training a network, checkpoints of it, and checks of the data before it."""
