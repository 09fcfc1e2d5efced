"""The network of a run or of a file, handed over to the library that is made of it."""
