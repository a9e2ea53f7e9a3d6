"""nano: a small text-to-image model of faces in stock classes, trained on permissive data."""
