"""Command line and pages, built from the tasks."""
