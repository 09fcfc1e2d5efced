"""One candidate's way through compression, code generation and measurement, in worker processes."""
