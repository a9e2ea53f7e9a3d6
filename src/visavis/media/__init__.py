"""Photos: read in any of the usual shapes, within limits; written atomically."""
