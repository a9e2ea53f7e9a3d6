"""The runner: jobs over many items; consent, judging and marking of what systems make come here too."""
