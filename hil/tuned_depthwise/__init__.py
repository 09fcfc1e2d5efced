"""DepthwiseConv2D with multiplier 1 on cores with DSP, a module for each kernel."""
