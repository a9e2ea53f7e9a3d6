"""PhotoVerse (arXiv 2309.05793): one photo in a prompt, as a word and as keys and values."""
