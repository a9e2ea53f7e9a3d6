"""One loop, one data path, and the recipes that make what faces/ runs as ONNX."""
