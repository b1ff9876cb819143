"""Sliding-window inference with the stride one asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.inferers import Inferer, sliding_window_inference
from torch import Tensor, nn

from ..errors import require_choice
from ..networks.modes import keep_default_layout, to_channels_last
from ..networks.prepare import prepare_for_inference
from ..precision import AUTO, CHOICES, choose_precision


class SlidingWindowInferer(Inferer):
    """Average softmax maps over windows at an exact integer stride; ``B, C, spatial...`` to ``B, K, spatial...``.

    A network in evaluation mode is prepared for inference first (``prepare_for_inference``), and windows in which every
    voxel has one and the same value, as outside the body, are computed once for each value.

    Windows start at ``min(i * stride, extent - roi)``; a volume smaller than the window is padded symmetrically with
    zeros; every window counts alike. MONAI's own inferer takes an overlap and truncates the stride it implies (an
    overlap of 1 - 16/96 gives 15, not 16); here the overlap is chosen so that the truncation lands on the stride.

    Args:
        roi_size: extents of the window.
        stride: step of the window along each axis, at most the window (18, 18, 4 in the LA protocol).
        sw_batch_size: windows per forward.
        amp: number type of the network, see ``choose_precision``; the averaging stays in float32.
        channels_last: lay out the windows channels-last.
        softmax: apply softmax to the output of the network; off for one that returns probabilities.
        stride_factor: take steps so many times the stride, up to the window: faster and coarser.

    Raises:
        ValueError: for a stride outside 1..roi_size.
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        stride: Sequence[int],
        sw_batch_size: int = 4,
        amp: bool | str = AUTO,
        channels_last: bool = True,
        softmax: bool = True,
        stride_factor: float = 1,
    ) -> None:
        require_choice(amp=(amp, CHOICES))
        if len(roi_size) != len(stride) or any(not 1 <= s <= r for s, r in zip(stride, roi_size)):
            raise ValueError(f"stride {list(stride)} must lie between 1 and the window {list(roi_size)} on each axis")
        stride = [min(max(round(s * stride_factor), 1), r) for s, r in zip(stride, roi_size)]
        self.roi_size, self.sw_batch_size = tuple(roi_size), sw_batch_size
        self.overlap = [max(1 - (s + 0.5) / r, 0.0) for s, r in zip(stride, roi_size)]
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

        return sliding_window_inference(
            inputs, self.roi_size, self.sw_batch_size, probabilities, self.overlap, mode="constant"
        )
