"""The command `hil`."""
