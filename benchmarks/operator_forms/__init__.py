"""Random networks around each form of layer that torch capture reads."""
