"""Whose face it is, as torch modules that a generator can learn from."""
