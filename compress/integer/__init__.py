"""The integer graph: its exact reference, validity, cost, and dead-channel elimination."""
