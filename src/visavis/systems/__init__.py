"""One folder for each published system: its card, and what it needs of model, training, use and published layout."""
