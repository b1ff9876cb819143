"""One random idiom: what is random in training draws from the torch generator it is given, else from torch's own."""

import ast
import copy
import inspect
import random
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from iere import RandomResizedCrop2D
from synfoc import RandomIntensity, RandomRectangle, RandomWarp2D
from torch import Tensor

from common.transforms import (
    Batch,
    CopyPaste,
    CutMix,
    MixUp,
    OneOf,
    RandomAppearance,
    RandomBoxMask,
    RandomContrast,
    RandomGeometry,
    RandomPatch,
    RandomRotate2D,
    RandomRotFlip,
    ScaledBoxMask,
    clamped_noise,
)

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["common.transforms", *sorted(path.parent.name for path in ROOT.glob("bundles/*/*/__init__.py"))]
LIBRARY = sorted(
    [path for path in (ROOT / "common").rglob("*.py") if path.name != "phantom.py"]  # makes data, by numpy's generator
    + list((ROOT / "bundles").rglob("*.py"))
)
DRAWS = {"rand", "randn", "randint", "randperm", "uniform_", "normal_", "bernoulli", "multinomial", "rand_like"}


def flat():
    return Batch(torch.rand(6, 1, 32, 32), torch.randint(0, 2, (4, 1, 32, 32), dtype=torch.uint8))


def case():
    return {"image": torch.rand(1, 20, 24, 18), "label": (torch.rand(1, 20, 24, 18) > 0.5).byte()}


def images():
    return torch.rand(6, 1, 32, 32)


RANDOM = {  # what is random, and what it is called on
    "CopyPaste": (CopyPaste(RandomBoxMask()), lambda: ([images()], [images()])),
    "CutMix": (CutMix(RandomBoxMask()), lambda: ([images(), images()],)),
    "MixUp": (MixUp(), lambda: (images(), images())),
    "OneOf": (OneOf([RandomRotFlip(), RandomRotate2D()], [0.4, 0.4]), lambda: (flat(),)),
    "RandomAppearance": (RandomAppearance(), lambda: (flat(),)),
    "RandomBoxMask": (RandomBoxMask(), lambda: (images(),)),
    "RandomContrast": (RandomContrast(0.5), lambda: (flat(),)),
    "RandomGeometry": (RandomGeometry(), lambda: (flat(),)),
    "RandomIntensity": (RandomIntensity(), lambda: (images(),)),
    "RandomPatch": (RandomPatch([8, 8, 8], foreground=0.5), lambda: (case(),)),
    "RandomRectangle": (RandomRectangle(), lambda: (images(),)),
    "RandomResizedCrop2D": (RandomResizedCrop2D([24, 24]), lambda: (flat(),)),
    "RandomRotFlip": (RandomRotFlip(), lambda: (flat(),)),
    "RandomRotate2D": (RandomRotate2D(), lambda: (flat(),)),
    "RandomWarp2D": (RandomWarp2D(), lambda: (flat(),)),
    "ScaledBoxMask": (ScaledBoxMask(), lambda: (images(),)),
    "clamped_noise": (clamped_noise, lambda: (images(),)),
}
STILL = {"ResizedSlice", "BatchTransform"}  # take a generator in the place of a random one


def exported():
    """Public names of ``common.transforms`` and of the bundles' packages that take a generator when called."""
    for package in map(import_module, PACKAGES):
        for name in package.__all__:
            thing = getattr(package, name)
            call = thing.__call__ if inspect.isclass(thing) else thing
            if callable(call) and "generator" in inspect.signature(call).parameters:
                yield name


def tensors(result):
    """All tensors in what a transform returns."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, Batch):
        return [result.image, result.label]
    parts = result.values() if isinstance(result, dict) else result
    return [tensor for part in parts for tensor in tensors(part)]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def states():
    return torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()


def test_everything_random_is_listed_above():
    assert set(exported()) - STILL == RANDOM.keys()


@pytest.mark.parametrize("name", RANDOM)
def test_the_generator_alone_decides(name):
    transform, given = RANDOM[name][0], RANDOM[name][1]()
    generator = torch.Generator().manual_seed(3)
    state, before = generator.get_state(), states()
    first = transform(*copy.deepcopy(given), generator=generator)
    after = states()
    assert torch.equal(before[0], after[0]) and before[1] == after[1] and (before[2] == after[2]).all()
    torch.manual_seed(99)
    again = transform(*copy.deepcopy(given), generator=generator.set_state(state))
    assert equal(first, again)
    assert any(not equal(first, transform(*copy.deepcopy(given), generator=generator)) for _ in range(5))


@pytest.mark.parametrize("name", RANDOM)
def test_without_a_generator_it_is_the_one_that_resume_restores(name):
    transform, given = RANDOM[name][0], RANDOM[name][1]()
    state = torch.get_rng_state()
    first = transform(*copy.deepcopy(given))
    assert not torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(state)
    assert equal(first, transform(*copy.deepcopy(given), generator=torch.default_generator))


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_draws_from_numpy_or_python(path):
    """But from generators of their own, made of a seed: drawn lists and resampled scores take part in no training."""
    own = r"\b(random\.Random|np\.random\.default_rng)\((?!\))"
    text = re.sub(own, "", path.read_text(encoding="utf-8"))
    shared = r"(?<![\w.])random\.\w+\(|^\s*from random\b|np\.random\.|numpy\.random"
    assert not re.search(shared, text, re.MULTILINE)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_draws_apart_from_applying_passes_its_generator_on(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if path.parent.name != "transforms":
        functions = [node for node in functions if node.name == "draw"]
    for call in (node for function in functions for node in ast.walk(function) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr in DRAWS:
            assert "generator" in {keyword.arg for keyword in call.keywords}, f"line {call.lineno}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("bundles/*/configs/*.yaml")), ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_no_configuration_names_a_random_transform_of_monai(path):
    assert not re.search(r"_target_: (monai\.transforms\.)?Rand\w", path.read_text(encoding="utf-8"))
