"""Local distributional smoothness (virtual adversarial training) for segmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from ..errors import InputError, require_choice
from ..networks.modes import frozen_batchnorm_statistics, inactive_dropout
from .entropy import kl_divergence


def dice_per_class_divergence(logits: Tensor, target_logits: Tensor, eps: float = 1e-8) -> Tensor:
    r"""Mean over classes of the linear Dice distance of two softmax maps (SS-Net, equation 3; paper, default).

    .. math:: D = \frac{1}{C} \sum_c \Big(1 - \frac{2 \sum_i \hat p_{ic} p_{ic} + \epsilon}
              {\sum_i \hat p_{ic} + \sum_i p_{ic} + \epsilon}\Big)

    All divergences here take logits ``B, C, ...`` of the perturbed and of the clean pass and return a scalar.
    """
    p, q, dims = _maps(logits, target_logits)
    return (1 - (2 * (p * q).sum(dims) + eps) / (p.sum(dims) + q.sum(dims) + eps)).mean()


def dice_global_divergence(logits: Tensor, target_logits: Tensor) -> Tensor:
    r"""Linear Dice distance of the whole tensors at once (published 3D code).

    As the probabilities of a voxel sum to 1 this is exactly :math:`1 - \mathrm{mean}_i \langle \hat p_i, p_i\rangle`.
    It is not 0 for equal maps: given p its minimizer is the one-hot argmax of p.
    """
    p, q, _ = _maps(logits, target_logits)
    return 1 - (p * q).sum(dim=1).mean()


def dice_squared_divergence(logits: Tensor, target_logits: Tensor, eps: float = 1e-10) -> Tensor:
    """Mean over classes of the squared Dice distance of two softmax maps (published 2D code); 0 iff they are equal."""
    p, q, dims = _maps(logits, target_logits)
    return (1 - (2 * (p * q).sum(dims) + eps) / (p.square().sum(dims) + q.square().sum(dims) + eps)).mean()


def kl_mean_divergence(logits: Tensor, target_logits: Tensor) -> Tensor:
    """Voxel mean of KL(clean || perturbed) (Miyato et al., TPAMI 2019; SS-Net table 3, row KL)."""
    return kl_divergence(target_logits, logits).mean()


def _maps(logits: Tensor, target_logits: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    dims = [d for d in range(logits.dim()) if d != 1]
    return logits.float().softmax(dim=1), target_logits.float().softmax(dim=1), dims


DIVERGENCES = {
    "dice_per_class": dice_per_class_divergence,
    "dice_global": dice_global_divergence,
    "dice_squared": dice_squared_divergence,
    "kl": kl_mean_divergence,
}
LINEAR = ("dice_per_class", "dice_global")  # these have a gradient where the two predictions are equal


def unit(d: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale every sample of ``d`` to Euclidean norm 1 over all its elements."""
    norm = torch.linalg.vector_norm(d.flatten(1), dim=1).view(-1, *[1] * (d.dim() - 1))
    return d / (norm + eps)


class VirtualAdversarialLoss(nn.Module):
    r"""Distance between the predictions at x and at x + r, with r the direction in which they change fastest.

    .. math:: r = \epsilon \, g / \lVert g \rVert_2, \quad g = \nabla_d D(f(x + \xi d), f(x)), \qquad
              L = D(f(x + r), f(x))

    The gradient reaches the network through the perturbed branch alone. The passes for the direction and the loss use
    batch statistics without updating the running ones. The direction comes from ``torch.autograd.grad`` with respect
    to d: no parameter gradient is computed or touched (the published code fills and clears them), and D is scaled by
    the number of voxels before that, so that low precision does not underflow; only the direction matters.

    With ``direction: main_pass`` g is the gradient at x itself, d = 0, taken back through the graph of the main pass:
    no pass of its own, and one backward without those of the weights. Linear Dice distances change to first order
    there, as the arg max of a prediction is nearer to it than it is itself; KL and squared Dice do not.

    Args:
        enabled: switch of the term; a method skips a disabled one.
        divergence: one of ``DIVERGENCES``.
        xi: length of the probing step (10 in SS-Net).
        eps: length of the adversarial perturbation per sample (10 on LA, 6 on ACDC).
        patch: extents on which ``xi`` and ``eps`` are these lengths. A sample of n voxels gets lengths
            :math:`\sqrt{n / n_{patch}}` times as large, which keeps the perturbation per voxel: published, a root
            mean square of 10 / sqrt(112 * 112 * 80) = 0.010 on LA and 6 / 256 = 0.023 on ACDC. ``None``: the lengths
            are those of every sample, whatever its size.
        ip: power iterations (1).
        clean_target: ``recompute`` makes an own clean pass (published code); ``reuse_main`` takes the logits of the
            main pass, which saves a forward.
        dropout: masks of the clean and the perturbed passes: ``independent``, ``shared`` or ``off``.
        crop: extents of a sub-patch, drawn anew in each call and at one place for all samples, to which the whole term
            keeps: its passes cost as much less. With ``patch`` the perturbation per voxel stays the same. Extents
            beyond the patch's are the patch's; ``None``: the whole patch, as published.
        direction: ``own_pass`` (published): gradient after a step ``xi`` at random, with dropout masks of its own;
            ``main_pass``: see above, with ``reuse_main`` and a linear Dice distance.

    Raises:
        InputError: for an unknown choice, or choices that exclude each other.

    Source: Miyato et al., TPAMI 2019; SS-Net (Wu et al., MICCAI 2022), equations 1 to 3 and appendix algorithm 1.
    """

    CLEAN_TARGETS = ("recompute", "reuse_main")
    DROPOUTS = ("independent", "shared", "off")
    DIRECTIONS = ("own_pass", "main_pass")

    def __init__(
        self,
        enabled: bool = True,
        divergence: str = "dice_per_class",
        xi: float = 10.0,
        eps: float = 10.0,
        ip: int = 1,
        clean_target: str = "recompute",
        dropout: str = "independent",
        patch: Sequence[int] | None = None,
        crop: Sequence[int] | None = None,
        direction: str = "own_pass",
    ) -> None:
        super().__init__()
        require_choice(
            divergence=(divergence, DIVERGENCES),
            clean_target=(clean_target, self.CLEAN_TARGETS),
            dropout=(dropout, self.DROPOUTS),
            direction=(direction, self.DIRECTIONS),
        )
        if clean_target == "reuse_main" and dropout != "independent":
            raise InputError("clean_target 'reuse_main' fixes the dropout masks of the main pass: use 'independent'")
        self.from_main_pass = direction == "main_pass"
        if self.from_main_pass and (clean_target, divergence in LINEAR) != ("reuse_main", True):
            raise InputError(
                "direction 'main_pass' needs clean_target 'reuse_main' and a divergence among "
                f"{', '.join(LINEAR)}: others have no gradient there"
            )
        if self.from_main_pass and crop is not None:
            raise InputError("direction 'main_pass' goes through the whole patch: leave crop out, or take 'own_pass'")
        self.enabled, self.divergence = enabled, DIVERGENCES[divergence]
        self.xi, self.eps, self.ip = xi, eps, ip
        self.clean_target, self.dropout = clean_target, dropout
        self.patch = None if patch is None else math.prod(patch)
        self.crop = None if crop is None else tuple(crop)

    def forward(self, network: nn.Module, x: Tensor, main_logits: Tensor) -> Tensor:
        """Loss of ``network`` on the whole batch ``x`` (``B, C, ...``); ``main_logits`` are those of the main pass.

        For ``direction: main_pass`` these have a graph back to ``x``, which requires a gradient.
        """
        if self.crop is not None:
            place = (..., *self.draw(x.shape[2:]))
            x, main_logits = x[place], main_logits[place]
        with ExitStack() as stack:
            if self.from_main_pass:
                d, x = self.main_direction(x, main_logits), x.detach()
                stack.enter_context(frozen_batchnorm_statistics(network))
                return self.divergence(network(x + self.eps * self.scale(x) * d), main_logits.detach())
            if self.dropout == "off":
                stack.enter_context(inactive_dropout(network))
            start = unit(torch.rand_like(x) - 0.5)
            masks = _RandomState(x.device) if self.dropout == "shared" else None
            if self.clean_target == "reuse_main":
                clean = main_logits.detach()
            else:
                with torch.no_grad():
                    clean = network(x)
            stack.enter_context(frozen_batchnorm_statistics(network))
            r = self.eps * self.scale(x) * self.direction(network, x, clean, start, masks)
            if masks is not None:
                masks.restore()
            return self.divergence(network(x + r), clean)

    def direction(
        self, network: nn.Module, x: Tensor, clean: Tensor, start: Tensor, masks: _RandomState | None = None
    ) -> Tensor:
        """Unit vector per sample, shaped like ``x``, along which the prediction changes fastest, from ``start``."""
        d, xi = start, self.xi * self.scale(x)
        scale = clean.numel() / clean.shape[1]
        for _ in range(self.ip):
            d = d.detach().requires_grad_()
            if masks is not None:
                masks.restore()
            with torch.enable_grad():
                distance = scale * self.divergence(network(x + xi * d), clean)
            d = unit(torch.autograd.grad(distance, d)[0])
        return d

    def draw(self, extents: Sequence[int], generator: torch.Generator | None = None) -> list[slice]:
        """A place of the crop in a patch."""
        sides = [min(side, extent) for side, extent in zip(self.crop, extents, strict=True)]
        starts = [
            int(torch.randint(extent - side + 1, (), generator=generator)) for side, extent in zip(sides, extents)
        ]
        return [slice(start, start + side) for start, side in zip(starts, sides)]

    def main_direction(self, x: Tensor, main_logits: Tensor) -> Tensor:
        """The same at ``x`` itself, through the graph of the main pass, which is kept."""
        distance = main_logits.numel() / main_logits.shape[1] * self.divergence(main_logits, main_logits.detach())
        return unit(torch.autograd.grad(distance, x, retain_graph=True)[0])

    def scale(self, x: Tensor) -> float:
        """Factor of the lengths for samples of the size of ``x`` (``B, C, ...``)."""
        return 1.0 if self.patch is None else math.sqrt(x[0, 0].numel() / self.patch)


class _RandomState:
    """Torch's global random state at construction, to be put back before each pass that shares its dropout masks."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.cpu = device, torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)
