"""Options of the command line that several settings make up: of the goal, and of kernels."""
