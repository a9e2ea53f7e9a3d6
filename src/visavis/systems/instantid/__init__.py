"""InstantID (arXiv 2401.07519): a recogniser's vector says who, five points say where, words say how."""
