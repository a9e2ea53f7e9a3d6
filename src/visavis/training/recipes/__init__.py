"""Recipes: each trains one network that faces/ runs as ONNX without torch."""
