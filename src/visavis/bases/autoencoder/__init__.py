"""The autoencoder of faces: portrait frames to latents [8, 16, 16] and back."""
