"""Features of signals on the device: their C files, and what they cost on a board."""
