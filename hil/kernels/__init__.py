"""Operators to C kernels: candidates, limits, memory needs and calls, one module per family."""
