"""QEMU as a board behind pyOCD; the plug-in that counts instructions and models cycles."""
