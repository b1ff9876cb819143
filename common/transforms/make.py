"""How a bundle for volumes, which takes slices too, cuts and augments its batches."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import require_choice
from .appearance import RandomAppearance
from .batch import BatchTransform
from .contrast import RandomContrast
from .geometry import RandomGeometry
from .one_of import OneOf
from .patch import RandomPatch, ResizedSlice
from .rotate import RandomRotate2D
from .rotflip import RandomRotFlip

SYMMETRIES = ("full", "reflections", "mirrors", "none")
SLICE_FITS = ("resize", "patch")
RECIPES = ("none", "geometry", "appearance", "strong")


def make_sample(
    patch_size: Sequence[int], official: bool = False, slice_fit: str = "resize", foreground: float = 0.0
) -> RandomPatch | ResizedSlice:
    """A random patch for three extents (``official``, ``foreground``: see ``RandomPatch``), the resized slice for two.

    With ``slice_fit`` ``patch`` slices keep their pixels too, and the network sees random parts of them.
    """
    require_choice(slice_fit=(slice_fit, SLICE_FITS))
    if len(patch_size) == 2 and slice_fit == "resize":
        return ResizedSlice(patch_size)
    return RandomPatch(patch_size, official=official, foreground=foreground)


def make_augment(
    patch_size: Sequence[int], symmetries: str = "full", contrast: float = 0.0, recipe: str = "none"
) -> list[BatchTransform]:
    """Symmetries, changes of shape and look, then random contrast, of a batch.

    Args:
        patch_size: of three extents, or two for slices.
        symmetries: ``full``: the eight of the square; ``reflections``: the four that published code draws;
            ``mirrors``: the four of any rectangle, without quarter turns; ``none``. With any, slices follow the ACDC
            protocol of SSL4MIS: half of them get a symmetry, a quarter a rotation of up to 20 degrees.
        contrast: strength of ``RandomContrast``; 0: none.
        recipe: ``geometry``: ``RandomGeometry``; ``appearance``: ``RandomAppearance``; ``strong``: both; ``none``.
    """
    require_choice(symmetries=(symmetries, SYMMETRIES), recipe=(recipe, RECIPES))
    chain: list[BatchTransform] = [RandomGeometry()] if recipe in ("geometry", "strong") else []
    chain += [RandomAppearance()] if recipe in ("appearance", "strong") else []
    chain += [RandomContrast(contrast)] if contrast else []
    if symmetries == "none":
        return chain
    turns = RandomRotFlip({"full": "full_d4", "reflections": "official", "mirrors": "mirrors"}[symmetries])
    if len(patch_size) == 2:
        return [OneOf([turns, RandomRotate2D(20)], [0.5, 0.25]), *chain]
    return [turns, *chain]
