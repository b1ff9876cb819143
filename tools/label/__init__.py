"""Models of this collection in MONAI Label: the server, its app, and what both are tried with."""
