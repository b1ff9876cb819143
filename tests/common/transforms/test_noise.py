import pytest
import torch

from common.transforms import clamped_noise


def test_noise_is_gaussian_within_the_clamp():
    noise = clamped_noise(torch.zeros(100_000), std=0.1, clip=1.0)
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=2e-3)


def test_noise_never_exceeds_the_clamp_and_reaches_it():
    image = torch.full((10_000,), 5.0)
    noise = clamped_noise(image, std=0.1, clip=0.2) - image
    assert noise.abs().max().item() == pytest.approx(0.2, abs=1e-6)
    clamped = (noise.abs() > 0.2 - 1e-5).float().mean().item()
    assert clamped == pytest.approx(0.0455, abs=0.01)


def test_deviation_zero_returns_the_image_and_the_input_is_left_alone():
    image = torch.randn(20)
    kept = image.clone()
    assert torch.equal(clamped_noise(image, std=0.0), image)
    clamped_noise(image, std=1.0)
    assert torch.equal(image, kept)
