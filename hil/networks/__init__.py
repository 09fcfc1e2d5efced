"""The networks of a run: their plans, layer by layer, and what the board counted of each layer."""
