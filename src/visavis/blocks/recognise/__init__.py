"""Parts of networks that tell faces apart."""
