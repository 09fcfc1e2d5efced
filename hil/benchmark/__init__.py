"""The full measurement of one network, in total and per layer: `hil bench`."""
