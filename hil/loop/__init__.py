"""The search loop and its stop rules. START HERE: evolve.py."""
