"""QEMU as a board behind pyOCD, and its plug-in that counts instructions and models cycles."""
