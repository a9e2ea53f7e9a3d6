"""Protocols, measures and tables: every figure that visavis states comes from a command here."""
