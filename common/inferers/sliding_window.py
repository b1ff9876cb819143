"""Sliding-window inference with the stride one asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from monai.inferers import Inferer, sliding_window_inference
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import require_choice
from ..networks.modes import keep_default_layout, to_channels_last
from ..networks.prepare import prepare_for_inference
from ..options.rules import FAST
from ..precision import AUTO, CHOICES, choose_precision

AT_ONCE = 2**19  # voxels that one forward takes on a CPU: of larger ones memory, not arithmetic, is the bound
VISITS = 4.0  # windows that see a voxel, in the mean, with ``fast``; 23 in the LA protocol
NEAR = 1 / 16  # of a window: what was found so near to voxels that no window saw has windows there looked at


class SlidingWindowInferer(Inferer):
    """Average softmax maps over windows at an exact integer stride; ``B, C, spatial...`` to ``B, K, spatial...``.

    A network in evaluation mode is prepared for inference first (``prepare_for_inference``), and windows in which every
    voxel has one and the same value, as outside the body, are computed once for each value.

    Windows start at ``min(i * stride, extent - roi)``; a volume smaller than the window is padded symmetrically with
    zeros; every window counts alike. MONAI's own inferer takes an overlap and truncates the stride it implies (an
    overlap of 1 - 16/96 gives 15, not 16); here the overlap is chosen so that the truncation lands on the stride.

    A network's answer depends on where in the window a voxel lies, so that what helps is many different places, not
    many windows. With ``fast`` their starts follow a sequence that spreads evenly over all axes at once, and four of
    them see a voxel in the mean. The corners of a volume, which few or none see, are background unless something was
    found near them; then windows are added there. The result is close to that of a small stride, but another one.

    Args:
        roi_size: extents of the window.
        stride: step of the window along each axis, at most the window (18, 18, 4 in the LA protocol), or ``fast``.
        sw_batch_size: windows per forward at most; on a CPU as many as hold half a million voxels, one at least.
        amp: number type of the network, see ``choose_precision``; the averaging stays in float32.
        channels_last: lay out the windows channels-last.
        softmax: apply softmax to the output of the network; off for one that returns probabilities.
        stride_factor: take steps so many times the stride, up to the window: faster and coarser.

    Raises:
        ValueError: for a stride outside 1..roi_size.

    Source of the sequence: M. Roberts, The unreasonable effectiveness of quasirandom sequences (2018), R_d.
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        stride: Sequence[int] | str,
        sw_batch_size: int = 4,
        amp: bool | str = AUTO,
        channels_last: bool = True,
        softmax: bool = True,
        stride_factor: float = 1,
    ) -> None:
        require_choice(amp=(amp, CHOICES))
        self.roi_size, self.sw_batch_size, self.fast = tuple(roi_size), sw_batch_size, stride == FAST
        if isinstance(stride, str):
            require_choice(stride=(stride, (FAST,)))
        else:
            if len(roi_size) != len(stride) or any(not 1 <= s <= r for s, r in zip(stride, roi_size)):
                window = list(roi_size)
                raise ValueError(f"stride {list(stride)} must lie between 1 and the window {window} on each axis")
            stride = [min(max(round(s * stride_factor), 1), r) for s, r in zip(stride, roi_size)]
            self.overlap = overlaps(roi_size, stride)
        self.amp, self.channels_last, self.softmax = amp, channels_last, softmax

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args, **kwargs) -> Tensor:
        precision = choose_precision(self.amp, inputs.device)
        if self.channels_last and isinstance(network, nn.Module):
            keep_default_layout(network)

        def computed(windows: Tensor) -> Tensor:
            if self.channels_last:
                windows = to_channels_last(windows)
            fast = prepare_for_inference(network, windows, self.channels_last)
            with precision.autocast(windows.device.type):
                output = fast(windows, *args, **kwargs)
            return output.float().softmax(dim=1) if self.softmax else output.float()

        still = isinstance(network, nn.Module) and not any(module.training for module in network.modules())
        known: dict[tuple[float, ...], Tensor] = {}

        def probabilities(windows: Tensor) -> Tensor:
            least, most = windows.flatten(2).aminmax(dim=2)
            empty = (least == most).all(dim=1).tolist()
            if not still or not any(empty):
                return computed(windows)
            keys = [tuple(row) for row in least.tolist()]
            for place in (n for n, one in enumerate(empty) if one and keys[n] not in known):
                known[keys[place]] = computed(windows[place : place + 1])[0]
            full = [n for n, one in enumerate(empty) if not one]
            rest = iter(computed(windows[full])) if full else iter(())
            return torch.stack([known[keys[n]] if empty[n] else next(rest) for n in range(len(empty))])

        if self.fast:
            return torch.cat([self.spread(one, probabilities) for one in inputs.split(1)])
        count = self.at_once(inputs)
        return sliding_window_inference(inputs, self.roi_size, count, probabilities, self.overlap, mode="constant")

    def at_once(self, inputs: Tensor) -> int:
        """Windows per forward."""
        if inputs.device.type != "cpu":
            return self.sw_batch_size
        return min(max(AT_ONCE // math.prod(self.roi_size), 1), self.sw_batch_size)

    def spread(self, image: Tensor, probabilities: Callable[[Tensor], Tensor]) -> Tensor:
        """Mean probabilities ``1, K, spatial...`` of an image ``1, C, spatial...`` over few windows at many places."""
        shape, window = image.shape[2:], self.roi_size
        missing = [max(side - extent, 0) for extent, side in zip(shape, window)]
        sides = [part for lack in reversed(missing) for part in (lack // 2, lack - lack // 2)]
        image = F.pad(image, sides)
        starts = spread_starts(image.shape[2:], window)
        result, seen = self.mean_over(image, starts, probabilities)
        if not bool(seen.all()):
            more = self.starts_near(result, seen, starts)
            others, seen_now = self.mean_over(image, more, probabilities) if more else (result, seen)
            result = torch.where(seen, result, others)  # what was seen keeps its mean over many places
            result[:, 0][~(seen | seen_now)[:, 0]] = 1.0
        inside = tuple(slice(lack // 2, lack // 2 + extent) for lack, extent in zip(missing, shape))
        return result[(slice(None), slice(None)) + inside]

    def mean_over(
        self, image: Tensor, starts: Sequence[Sequence[int]], probabilities: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Mean probabilities ``1, K, spatial...`` over some windows, 0 where none was, and where one was."""
        places = [(..., *(slice(s, s + side) for s, side in zip(start, self.roi_size))) for start in starts]
        total = visits = image.new_zeros(1, 1, *image.shape[2:])
        count = self.at_once(image)
        for first in range(0, len(places), count):
            part = places[first : first + count]
            maps = probabilities(torch.cat([image[place] for place in part]))
            if not first:
                total, visits = maps.new_zeros(1, maps.shape[1], *image.shape[2:]), torch.zeros_like(visits)
            for place, one in zip(part, maps):
                total[place] += one
                visits[place] += 1
        return total / visits.clamp(min=1), visits > 0

    def starts_near(self, maps: Tensor, seen: Tensor, done: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
        """Windows without overlap that hold voxels which none saw, and near which something was found."""
        found = ((maps.argmax(dim=1, keepdim=True) > 0) & seen).float()
        for axis, side in enumerate(self.roi_size):
            reach = max(round(NEAR * side), 1)
            found = _spread_along(found, axis + 2, reach)
        wanted = ~seen & (found > 0)
        grid = itertools.product(*map(_covering, maps.shape[2:], self.roi_size))
        places = {start: (..., *(slice(s, s + side) for s, side in zip(start, self.roi_size))) for start in grid}
        return [start for start, place in places.items() if start not in set(done) and bool(wanted[place].any())]


class WindowsOfSlices(SlidingWindowInferer):
    """A 2D network on windows of the slices of volumes ``B, C, H, W, D``, cut along D; or of images ``B, C, H, W``."""

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args, **kwargs) -> Tensor:
        if inputs.dim() == 4:
            return super().__call__(inputs, network, *args, **kwargs)
        slices = inputs.movedim(-1, 1).flatten(0, 1)
        maps = super().__call__(slices, network, *args, **kwargs)
        return maps.unflatten(0, (len(inputs), inputs.shape[-1])).movedim(1, -1)


def overlaps(window: Sequence[int], stride: Sequence[int]) -> list[float]:
    """What MONAI takes for exact strides."""
    return [max(1 - (step + 0.5) / side, 0.0) for step, side in zip(stride, window)]


def spread_starts(extents: Sequence[int], window: Sequence[int]) -> list[tuple[int, ...]]:
    """Starts of ``fast`` windows in a volume no smaller than the window."""
    room = [extent - side for extent, side in zip(extents, window)]
    root = 2.0  # of x ** (d + 1) = x + 1, by iteration
    for _ in range(64):
        root = (1 + root) ** (1 / (len(room) + 1))
    count = max(round(VISITS * math.prod(extents) / math.prod(window)), 1)
    shares = ([(0.5 + (n + 1) / root ** (axis + 1)) % 1 for axis in range(len(room))] for n in range(count))
    return list(dict.fromkeys(tuple(round(share * r) for share, r in zip(row, room)) for row in shares))


def _covering(extent: int, side: int) -> list[int]:
    """Starts of the fewest windows that cover an axis, evenly spaced."""
    count = math.ceil(extent / side)
    return sorted({round(n * (extent - side) / max(count - 1, 1)) for n in range(count)})


def _spread_along(mask: Tensor, axis: int, reach: int) -> Tensor:
    """A mask of numbers, widened by ``reach`` voxels both ways along an axis."""
    moved = mask.movedim(axis, -1)
    flat = F.max_pool1d(moved.reshape(-1, 1, moved.shape[-1]), 2 * reach + 1, stride=1, padding=reach)
    return flat.reshape(moved.shape).movedim(-1, axis)
