import logging

import pytest
import torch

from common import precision
from common.errors import InputError
from common.precision import Precision, choose_precision


@pytest.fixture(autouse=True)
def fresh_log():
    precision._log_once.cache_clear()


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that there is a GPU of a compute capability."""

    def pretend(major, minor):
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (major, minor))
        monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "a GPU")

    return pretend


@pytest.mark.parametrize("amp", [True, "bfloat16", "float16", False, "float32"])
def test_explicit_choices_are_taken_at_their_word(amp, monkeypatch):
    monkeypatch.setattr(precision, "bfloat16_speedup", None)
    names = {True: "bfloat16", False: "float32"}
    found = choose_precision(amp, "cpu")
    assert found.name == names.get(amp, amp)
    assert found.dtype == (None if found.name == "float32" else getattr(torch, found.name))


@pytest.mark.parametrize("amp", ["half", "True", None, 2, ["auto"]])
def test_other_values_are_refused_by_name(amp):
    with pytest.raises(InputError, match="amp must be one of .*'auto'.*'float16'"):
        choose_precision(amp, "cpu")


@pytest.mark.parametrize(
    ("speedup", "dtype"), [(0.006, None), (1.0, None), (1.1, None), (1.2, torch.bfloat16), (3.0, torch.bfloat16)]
)
def test_a_cpu_computes_in_bfloat16_where_that_pays(speedup, dtype, monkeypatch):
    monkeypatch.setattr(precision, "bfloat16_speedup", lambda: speedup)
    assert choose_precision("auto", torch.device("cpu")).dtype == dtype


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((6, 1), None), ((7, 0), torch.float16), ((7, 5), torch.float16), ((8, 0), torch.bfloat16),
     ((8, 9), torch.bfloat16), ((9, 0), torch.bfloat16), ((12, 0), torch.bfloat16)],
)  # fmt: skip
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda", 0)])
def test_a_gpu_computes_in_what_it_has_natively(capability, dtype, device, gpu):
    gpu(*capability)
    found = choose_precision("auto", device)
    assert found.dtype == dtype
    assert f"a GPU, compute capability {capability[0]}.{capability[1]}" in found.reason


def test_other_devices_compute_in_float32():
    assert choose_precision("auto", "mps").dtype is None


def test_the_log_says_once_which_and_why(caplog, monkeypatch, gpu):
    monkeypatch.setattr(precision, "bfloat16_speedup", lambda: 0.125)
    gpu(7, 5)
    with caplog.at_level(logging.INFO):
        for device in ("cpu", "cpu", "cuda:0", "cuda:0", "cpu"):
            choose_precision("auto", device)
    assert [record.getMessage() for record in caplog.records] == [
        "precision on cpu: float32 (on this CPU bfloat16 convolutions run at 0.12 times the speed of float32)",
        "precision on cuda: float16 (a GPU, compute capability 7.5: no native bfloat16)",
    ]


def test_autocast_follows_the_choice_and_float32_ends_an_outer_one():
    def product():
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype

    for dtype in (torch.bfloat16, torch.float16):
        with Precision(dtype, "").autocast("cpu"):
            assert product() == dtype
            with Precision(None, "").autocast("cpu"):
                assert product() == torch.float32


@pytest.mark.parametrize("outer", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_the_machine_is_tried_anywhere_once_and_left_as_it_was(outer, monkeypatch):
    calls = []
    monkeypatch.setattr(precision, "_speedup", lambda *given: calls.append(given) or 5.0 - len(calls))
    precision.bfloat16_speedup.cache_clear()
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        with outer():
            assert precision.bfloat16_speedup() == precision.bfloat16_speedup() == 3.0
    finally:
        precision.bfloat16_speedup.cache_clear()
    assert [x.dim() for _, x, _ in calls] == [4, 5]
    assert torch.equal(random, torch.get_rng_state()) and threads == torch.get_num_threads()


def convolution(slowdown, clock):
    """A convolution for ``_speedup`` that takes so many times the time of float32 under autocast."""

    def run(x, weight, padding):
        clock[0] += slowdown if torch.is_autocast_enabled("cpu") else 1.0
        return torch.conv2d(x, weight, padding=padding)

    return run


@pytest.mark.parametrize("slowdown", [0.25, 0.5, 2.0, 160.0])
def test_speedup_is_the_ratio_of_least_times(slowdown, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(precision, "CLOCK", lambda: clock[0])
    x, weight = (torch.ones(1, 1, 3, 3, requires_grad=True) for _ in range(2))
    assert precision._speedup(convolution(slowdown, clock), x, weight) == pytest.approx(1 / slowdown)
    assert clock[0] == pytest.approx((2 if slowdown > 3 else precision.ROUNDS + 1) * (1 + slowdown))


def test_a_real_convolution_is_timed():
    assert 0.001 < precision.bfloat16_speedup() < 100
