"""Quantization: grids, ranges, quantization-aware training, and lowering to the integer graph."""
