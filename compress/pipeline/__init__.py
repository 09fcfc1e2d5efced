"""A genome applied to a network, stage by stage, with the networks trained so far kept."""
