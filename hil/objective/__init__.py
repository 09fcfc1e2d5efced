"""Costs of measured networks, goals over them, and Pareto dominance."""
