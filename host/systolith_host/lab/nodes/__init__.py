"""The operator suite of the package onnx: its cases, and what becomes of them."""
