"""How a run's process starts."""

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from common.errors import InputError
from common.runs import start_process

BUNDLE = Path(__file__).resolve().parents[3] / "bundles" / "meanteacher_segmentation"


@pytest.fixture(autouse=True)
def undone():
    yield
    set_determinism(None)


def started(**options):
    """A configuration whose first entry starts the process, and whose network an option names."""
    parser = ConfigParser(
        {
            "bundle_root": str(BUNDLE), "train": {}, "seed": 5, "deployed": "@network",
            "network": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2},
            "start": {"_target_": "common.runs.start_process", "seed": "@seed"}, **options,
        }
    )  # fmt: skip
    parser.get_parsed_content("start")
    return parser


def test_networks_are_made_after_the_seed_is_set():
    first, second, other = (started(seed=seed).get_parsed_content("network").weight for seed in (5, 5, 6))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_expressions_wait_until_the_process_has_started():
    """They may ask for a device or a process group, or make networks, which the seed must precede."""
    parser = started(labeled="$int(@network.weight.shape[0])")
    assert not {"labeled", "network"} & set(parser.ref_resolver.resolved_content)


def test_a_seed_that_is_none_is_refused_and_nothing_is_set():
    before = torch.initial_seed()
    with pytest.raises(Exception, match="start_process") as caught:
        started(seed="five")
    assert isinstance(caught.value.__cause__, InputError) and "--seed five" in str(caught.value.__cause__)
    assert torch.initial_seed() == before


def test_a_process_outside_torchrun_is_refused_where_there_must_be_several(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="^multi_gpu_train: start it by torchrun"):
        start_process(0, distributed_only=True)
