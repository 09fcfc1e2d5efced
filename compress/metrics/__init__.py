"""The metrics that networks are judged by, and how their values are shares where more is better."""
