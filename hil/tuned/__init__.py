"""Kernels of our own, tuned for each core: their proofs, the layouts of their weights, their calls.

Each is a micro-kernel in `firmware/tuned`, in assembly or C, a loop nest around it in C, a function
here that packs the weights in the order in which the micro-kernel reads them, and a proof, here
too, that its arithmetic is exact for the layer. Without a proof another kernel is taken.
"""
