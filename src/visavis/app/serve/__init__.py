"""The tasks over REST and on a page."""
