"""Perception: who is on a photo, where, how well seen, and the vector that says whose face it is."""
