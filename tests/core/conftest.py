"""Fixtures of this room."""

from local_index import place, served

__all__ = ["place", "served"]
