"""Hostile inputs for every reader of what comes from outside: `make test` few, `make fuzz` many."""
