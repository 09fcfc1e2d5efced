"""Measurement of an image on a target, and checks of the tools and the bench."""
