"""The C kernels of operators that keep states from one inference to the next."""
