"""The head or network that labels unlabeled images."""

from __future__ import annotations

from torch import Tensor, nn

from common.errors import require_choice
from common.networks import make_teacher

from .network import ResNetUNet


class Teacher(nn.Module):
    """Pseudo-labels from a second head on the student's trunk, or from a copy of the whole student.

    Args:
        network: the student.
        kind: ``shared_head``: the head is trained by labels together with the trunk (published code); ``ema``: a moving
            average, kept by a handler; ``fixed``: a copy of what pretraining gives.
    """

    KINDS = ("shared_head", "ema", "fixed")

    def __init__(self, network: ResNetUNet, kind: str = "shared_head") -> None:
        super().__init__()
        require_choice(teacher=(kind, self.KINDS))
        self.kind = kind
        self.head = network.make_head("xavier_uniform") if kind == "shared_head" else None
        self.copy = None if kind == "shared_head" else make_teacher(network)

    def supervised_logits(self, network: ResNetUNet, image: Tensor) -> Tensor:
        """What labels supervise: the second head, or the student where the teacher is a copy."""
        return network.logits(image, self.head)

    def logits(self, network: ResNetUNet, image: Tensor) -> Tensor:
        """What pseudo-labels are taken from."""
        return network.logits(image, self.head) if self.copy is None else self.copy(image)

    def follow(self, network: ResNetUNet) -> None:
        """Take over the pretrained student, if that is what the teacher is."""
        if self.kind == "fixed":
            self.copy.load_state_dict(network.state_dict())
