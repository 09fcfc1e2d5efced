"""The process in which interpreters written in C++ run models: what kills it kills nothing else."""
