"""WithAnyone (arXiv 2510.14975): another photo of a person is the target, so that a likeness is no copy."""
