"""Kernels with least code for cores with DSP, and their short records: `--optimize size`."""
