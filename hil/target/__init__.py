"""What runs an image, real or emulated: one protocol, its implementations, the serial line."""
