"""The teacher of a mean-teacher pair: a copy of the student that no gradient reaches."""

from __future__ import annotations

from copy import deepcopy

from torch import nn


def make_teacher(student: nn.Module) -> nn.Module:
    """Return a deep copy of ``student`` with ``requires_grad`` off; an EMA handler moves its weights.

    Frozen parameters of the student, such as a pretrained encoder under LoRA, are shared, not copied.
    """
    frozen = {id(parameter): parameter for parameter in student.parameters() if not parameter.requires_grad}
    return deepcopy(student, frozen).requires_grad_(False)
