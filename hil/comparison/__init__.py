"""Comparison of two networks' figures, with tolerances for each quantity."""
