"""The search space: random genomes, variations, one spelling for each, known recipes."""
