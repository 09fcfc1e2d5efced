"""The integer graph as a .tflite file: export, import, tflite-runtime as an independent judge."""
