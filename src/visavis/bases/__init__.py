"""Generators that systems stand on."""
