"""Data only: the folder of this package holds the files that index.json lists."""
