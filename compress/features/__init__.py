"""Features of signals as a device computes them: in integers, from samples to a network's input."""
