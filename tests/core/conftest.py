"""Fixtures of this room."""

from tests.core.local_index import place, served

__all__ = ["place", "served"]
