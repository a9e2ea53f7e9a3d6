"""Arc2Face (arXiv 2403.11641): a face from a recogniser's vector alone."""
