"""Walks over the integer graph: reference, validity, cost, elimination of dead channels."""
