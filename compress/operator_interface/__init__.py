"""The interface of an operator family: its functions, ties of channels, and common checks."""
