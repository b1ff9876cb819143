"""Exponential moving average of a student's weights."""

from __future__ import annotations

from ignite import handlers
from ignite.engine import Engine, Events
from torch import nn

from ..errors import InputError, require_choice


class EMAHandler(handlers.EMAHandler):
    r"""Move the teacher's parameters toward the student's after every iteration.

    .. math:: \theta_T \leftarrow a_t \theta_T + (1 - a_t) \theta_S, \qquad a_t = \min(1 - 1/(t + 1), a)

    Ignite's handler with what the methods need: the teacher is given (the objective owns it), the decay warms up as in
    UA-MT, parameters that the student does not train are left alone (a teacher may share them), and buffers are
    averaged or copied by value, where Ignite makes them share storage, so that a teacher in training mode would write
    into the student's batch-norm statistics.

    At the start of a fresh run the teacher is set to the student, whatever checkpoint was loaded into it before.

    ``own`` statistics of a teacher in eval mode would stay those of the start, so that is an error.

    Args:
        student: network that is trained.
        teacher: network of the same structure without gradients.
        decay: a, in (0, 1); 0.99 in the UA-MT family.
        warm_up: use :math:`a_t`; else a from the first iteration.
        buffers: of batch norm: ``copy`` or ``ema`` from the student, or ``own`` (left to the teacher's own passes).
        first: t at the first iteration; 0 makes the first update a copy of the student.
        name: attribute of ``engine.state`` that shows the current momentum 1 - a_t.

    Source: Tarvainen and Valpola, NeurIPS 2017; UA-MT (Yu et al., MICCAI 2019).
    """

    BUFFERS = ("copy", "ema", "own")

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        decay: float = 0.99,
        warm_up: bool = True,
        buffers: str = "own",
        first: int = 1,
        name: str = "ema_momentum",
    ) -> None:
        require_choice(buffers=(buffers, self.BUFFERS))
        super().__init__(student, momentum=1 - decay, handle_buffers="ema_train")
        self.ema_model, self.warm_up, self.buffers, self.name = teacher, warm_up, buffers, name
        self.first = first
        self.has_statistics = any(name.endswith("running_mean") for name, _ in teacher.named_buffers())

    def attach(self, engine: Engine) -> None:  # type: ignore[override]
        engine.add_event_handler(Events.STARTED, self.start)
        super().attach(engine, name=self.name, warn_if_exists=False)

    def start(self, engine: Engine) -> None:
        """Set the teacher to the student unless the run was resumed."""
        if engine.state.iteration == 0:
            self.ema_model.load_state_dict(self.model.state_dict())

    def _update_ema_model(self, engine: Engine, name: str) -> None:
        if self.warm_up:
            setattr(engine.state, name, max(self.momentum, 1 / (engine.state.iteration + self.first)))
        momentum = getattr(engine.state, name)
        if self.buffers == "own" and not self.ema_model.training and self.has_statistics:
            raise InputError("ema_buffers=own needs a teacher in training mode; in eval mode take ema or copy")
        for teacher, student in zip(self.ema_model.parameters(), self.model.parameters()):
            if student.requires_grad:
                teacher.mul_(1 - momentum).add_(student.detach(), alpha=momentum)
        if self.buffers == "own":
            return
        for teacher, student in zip(self.ema_model.buffers(), self.model.buffers()):
            if self.buffers == "ema" and teacher.is_floating_point():
                teacher.lerp_(student, momentum)
            else:
                teacher.copy_(student)
