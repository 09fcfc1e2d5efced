"""Operator families that keep states from one inference to the next."""
