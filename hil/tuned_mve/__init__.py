"""Kernels for Cortex-M55 with the vector instructions MVE: see firmware/tuned/*mve*."""
