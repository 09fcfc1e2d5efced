"""Exact integer arithmetic of the kernels: fixed point, sliding windows, sums of products."""
