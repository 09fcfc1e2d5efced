"""The integer graph as a .tflite file: export, import, and other implementations as oracles."""
