"""Float models from files: ONNX and .tflite become networks of ordinary torch layers."""
