"""What is asked for: costs of a network, limits and weights, the Pareto front."""
