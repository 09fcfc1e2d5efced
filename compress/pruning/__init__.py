"""Removing channels, blocks and single weights."""
