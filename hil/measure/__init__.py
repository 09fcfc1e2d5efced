"""An image's measurement on a target, and whether the bench is in order."""
