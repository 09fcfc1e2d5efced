"""The integer graph as a .tflite file: export, import, and tflite-runtime as the oracle."""
