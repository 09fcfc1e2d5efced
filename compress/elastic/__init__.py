"""Elastic networks: one network trained for many widths, and the sub-networks picked from it."""
