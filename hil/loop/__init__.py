"""The search loop. START HERE: evolve.py."""
