"""Ways to compress compared over seeds, with statistics: `hil study`."""
