"""Disturbances of real searches: `make soak MINUTES=30` (`soak.run`)."""
