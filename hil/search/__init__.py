"""The search engines: they propose the genomes to try next."""
