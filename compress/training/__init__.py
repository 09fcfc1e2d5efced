"""Training of float networks, its checkpoints, and checks of the data that it gets."""
