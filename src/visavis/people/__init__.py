"""The album: whose faces are on which photos, what people said about that, and forgetting."""
