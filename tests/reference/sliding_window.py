"""Slow sliding-window inference as the semi-supervised 3D community does it, one window at a time.

Written from the protocol's description: pad with zeros to the window where the volume is smaller, half of it (rounded
down) in front; start windows at ``min(i * stride, extent - window)`` for ``i = 0 .. ceil((extent - window) / stride)``;
sum the softmax maps, divide by the number of visits, and cut the padding off.
"""

import itertools
import math

import numpy as np
import torch


def window_starts(extent, window, stride):
    """First voxels of the windows along one axis that is at least as long as the window."""
    steps = math.ceil((extent - window) / stride)
    return [min(i * stride, extent - window) for i in range(steps + 1)]


def sliding_window(image, network, window, stride):
    """Mean softmax maps ``1, K, spatial`` of an image ``1, C, spatial``, and the number of windows."""
    shape = image.shape[2:]
    missing = [max(w - s, 0) for s, w in zip(shape, window)]
    before = [m // 2 for m in missing]
    padded = np.pad(image.numpy(), [(0, 0), (0, 0), *[(b, m - b) for b, m in zip(before, missing)]])
    extents = padded.shape[2:]
    total, visits = None, np.zeros(extents)
    positions = list(itertools.product(*map(window_starts, extents, window, stride)))
    for position in positions:
        place = tuple(slice(p, p + w) for p, w in zip(position, window))
        logits = network(torch.from_numpy(padded[(slice(None), slice(None), *place)]))
        maps = torch.softmax(logits.double(), dim=1)[0].numpy()
        total = np.zeros((maps.shape[0], *extents)) if total is None else total
        total[(slice(None), *place)] += maps
        visits[place] += 1
    inside = tuple(slice(b, b + s) for b, s in zip(before, shape))
    return torch.from_numpy((total / visits)[(slice(None), *inside)])[None].float(), len(positions)
