"""Application of a genome to a network, stage by stage, with a cache of trained networks."""
