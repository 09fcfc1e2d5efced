"""Kernels of our own for cores without DSP instructions: Cortex-M0, M0+ and M3."""
