"""The interface of an operator's kernels: limits, candidates and the call in C."""
