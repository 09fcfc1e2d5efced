"""The search space: random genomes, mutation, cross-over, canonical form, fixed recipes."""
