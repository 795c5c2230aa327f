"""Random ONNX graphs of every float operator that is claimed."""
