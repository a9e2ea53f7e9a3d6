"""Parts that several systems share: plain torch modules and functions that know no trainer, no system and no file."""
