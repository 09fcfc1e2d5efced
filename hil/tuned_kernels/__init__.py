"""The list of the tuned kernels, of all cores."""
