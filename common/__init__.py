"""Shared parts of the semi-supervised segmentation bundles: engine, losses, transforms, networks, data, metrics."""
