"""A network as a C library for any firmware: sources, build files, proof, provenance."""
