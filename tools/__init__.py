"""Command line of the collection: ``python -m tools <verb>``."""
