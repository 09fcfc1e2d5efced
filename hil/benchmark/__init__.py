"""One network measured in full and per layer: `hil bench`."""
