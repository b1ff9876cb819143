"""What is compared: each function builds one input, and on it the slow way and ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor, nn

from common.inferers import SlidingWindowInferer
from common.losses import weighted_prototype_distance
from common.metrics import surface_distances
from common.networks import VNet, to_channels_last
from common.sam import BoxRefiner, EmbeddingCache, build_sam, decode, embed_boxes
from common.sam._load import modeling
from common.sam.attention import FusedAttention
from common.transforms import Batch, RandomPatch, RandomRotFlip

from . import references

Result = Sequence[object]  # tensors, arrays or numbers


@dataclass(frozen=True)
class Contest:
    """Two ways to one result.

    Attributes:
        work: the input, in words.
        reference: the slow way.
        ours: this repository's.
        tolerance: largest difference of the results, as a share of the reference's largest value.
    """

    work: str
    reference: Callable[[], Result]
    ours: Callable[[], Result]
    tolerance: float = 1e-5


def separation(device: str, rows: int = 100_000, prototypes: int = 32, dim: int = 32) -> Contest:
    """Separation of classes and its gradient: matrix of all pairs -> two weighted means, O(M + K)"""
    features = torch.randn(rows, dim, device=device, requires_grad=True)
    others = [torch.randn(prototypes, dim, device=device), *(torch.rand(n, device=device) for n in (rows, prototypes))]

    def run(distance: Callable[..., Tensor]) -> Result:
        loss = distance(features, *others)
        return loss.detach(), *torch.autograd.grad(loss, features)

    return Contest(
        f"{rows:,} x {prototypes} vectors of {dim}",
        lambda: run(references.pairwise_prototype_distance),
        lambda: run(weighted_prototype_distance),
    )


def attention(device: str, grid: int = 32, width: int = 768, heads: int = 12) -> Contest:
    """A global block of SAM's frozen encoder: materialised attention of segment-anything -> fused"""
    encoder = import_module(f"{modeling().__name__}.image_encoder")
    slow = encoder.Attention(width, heads, use_rel_pos=True, input_size=(grid, grid))
    for table in (slow.rel_pos_h, slow.rel_pos_w):
        nn.init.normal_(table, std=0.02)
    slow, tokens = slow.to(device), torch.randn(1, grid, grid, width, device=device)
    fast = FusedAttention(slow)
    return Contest(
        f"{grid} x {grid} tokens of {width}, {heads} heads",
        _no_grad(lambda: [slow(tokens)]),
        _no_grad(lambda: [fast(tokens)]),
    )


def boxes(device: str, images: int = 8, per_image: int = 2, size: int = 512, arch: str = "small") -> Contest:
    """SAM's masks for boxes: segment-anything image by image -> all boxes of all images at once"""
    sam = build_sam(arch, size).eval().to(device)
    channels = sam.image_pe.shape[1]
    embeddings = torch.randn(images, channels, *sam.grid, device=device)
    corners = size * torch.rand(images * per_image, 2, 2, device=device).sort(dim=1).values.flatten(1)
    index = torch.arange(images, device=device).repeat_interleave(per_image)
    by_image = corners.split(per_image)
    return Contest(
        f"{images} embeddings {channels} x {sam.grid[0]} x {sam.grid[1]}, {per_image} boxes each",
        _no_grad(lambda: [references.decode_one_image(sam, e, b)[0] for e, b in zip(embeddings, by_image)]),
        _no_grad(lambda: decode(sam, embeddings, embed_boxes(sam, corners), index)[0][:, :1].split(per_image)),
    )


def embeddings(device: str, images: int = 4, size: int = 256, arch: str = "small") -> Contest:
    """SAM's embeddings of unchanged images: encoded every time -> kept in half precision"""
    refiner = BoxRefiner(build_sam(arch, size).eval().to(device), convention="unit")
    pictures, cache = torch.rand(images, 1, size, size, device=device), EmbeddingCache("ram")
    keys = [str(number) for number in range(images)]

    def encode(wanted: Sequence[int] = range(images)) -> Tensor:
        return refiner.embed(pictures[list(wanted)])[0]

    return Contest(
        f"{images} images of {size} x {size}, SAM '{arch}'",
        _no_grad(lambda: [encode()]),
        _no_grad(lambda: [cache.get(keys, encode, device)]),
        tolerance=1e-3,
    )


def patches(
    device: str, shape: Sequence[int] = (190, 140, 88), size: Sequence[int] = (112, 112, 80), batch: int = 4
) -> Contest:
    """Augmented patches: MONAI per sample, turn then crop -> crop, then turn the batch"""
    cases = [{"image": torch.randn(1, *shape, device=device)} for _ in range(batch)]
    for case in cases:
        case["label"] = (case["image"] > 1).to(torch.uint8)
    crop, turn, generator = RandomPatch(size), RandomRotFlip(), torch.Generator().manual_seed(0)
    starts = [crop.draw(shape, generator) for _ in cases]

    def cut(key: str) -> Tensor:
        return torch.stack([crop.apply(case[key], start) for case, start in zip(cases, starts)])

    chosen = turn.draw(Batch(cut("image"), cut("label")), generator)

    def slow() -> Result:
        made = [references.turn_then_crop(c, *how, start, size) for c, how, start in zip(cases, chosen, starts)]
        return [torch.stack([case[key].as_tensor() for case in made]) for key in ("image", "label")]

    def fast() -> Result:
        made = turn.apply(Batch(cut("image"), cut("label")), chosen)
        return made.image, made.label

    return Contest(f"{batch} patches {_times(size)} of {_times(shape)}", slow, fast, tolerance=0)


def windows(
    device: str,
    shape: Sequence[int] = (144, 144, 96),
    window: Sequence[int] = (112, 112, 80),
    channels: int = 16,
    amp: bool | str = False,
    tolerance: float = 1e-5,
) -> Contest:
    """Sliding window in float32: one at a time, averaged on the host -> prepared network, averaged on the device"""
    network, image = VNet(base_channels=channels).eval().to(device), torch.randn(1, 1, *shape, device=device)
    stride = [extent // 2 for extent in window]
    inferer = SlidingWindowInferer(window, stride, amp=amp)
    return Contest(
        f"V-Net of {channels} channels, {_times(shape)}, window {_times(window)}",
        _no_grad(lambda: references.sliding_window(image, network, window, stride)[:1]),
        _no_grad(lambda: [inferer(image, network)]),
        tolerance,
    )


def precision(device: str, **sizes: object) -> Contest:
    """The same with the number type that this machine chooses: float32 loop -> prepared network"""
    return windows(device, **sizes, amp="auto", tolerance=0.05)


def layout(device: str, size: Sequence[int] = (64, 64, 48), batch: int = 2, channels: int = 16) -> Contest:
    """Training step of the V-Net, forward and backward: contiguous -> channels-last"""
    network, image = VNet(base_channels=channels, dropout=0).to(device), torch.randn(batch, 1, *size, device=device)
    label = torch.randint(2, (batch, *size), device=device)

    def run(network: nn.Module, image: Tensor) -> Result:
        loss = nn.functional.cross_entropy(network(image), label)
        first, *_ = torch.autograd.grad(loss, [network.head.weight, *network.encoder.parameters()])
        return loss.detach(), first  # further down batch norm raises float32's rounding to a per cent in any layout

    other, moved = to_channels_last(deepcopy(network)), to_channels_last(image)
    return Contest(
        f"V-Net of {channels} channels, {batch} patches {_times(size)}",
        lambda: run(network, image),
        lambda: run(other, moved),
        tolerance=1e-3,
    )


def surfaces(device: str, shape: Sequence[int] = (48, 44, 40), spacing: Sequence[float] = (1.25, 1.25, 2.0)) -> Contest:
    """95HD and ASD on the host: all pairs of surface voxels -> distance transforms"""
    place = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, extent) for extent in shape), indexing="ij"), dim=-1)
    a, b = ((place - shift).square().sum(dim=-1).numpy() < 0.5 for shift in (0.0, 0.1))
    return Contest(
        f"two balls in {_times(shape)}",
        lambda: references.all_pairs_surface_distances(a, b, spacing),
        lambda: surface_distances(a, b, spacing),
    )


CONTESTS = {
    function.__name__: function
    for function in (separation, attention, boxes, embeddings, patches, windows, precision, layout, surfaces)
}


def _no_grad(call: Callable[[], Result]) -> Callable[[], Result]:
    return torch.no_grad()(call)


def _times(extents: Sequence[int]) -> str:
    return " x ".join(map(str, extents))
