"""A .tflite file as plain records, and what the operators need to read and write them."""
