import pytest
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from torch import nn

from common.engines import SemiSupervisedTrainer, StepSettings
from common.losses import Ramp
from common.runs import Resume, SaveModel
from tests.toys import FailingObjective, LinearObjective, TwoWeights, batches


def sgd(*parameters, lr=0.1):
    return torch.optim.SGD(parameters, lr)


def make(objective, optimizers=None, loader=None, epochs=1, handlers=(), **settings):
    optimizers = sgd(*objective.parameters()) if optimizers is None else optimizers
    loader = batches(1) if loader is None else loader
    return SemiSupervisedTrainer("cpu", epochs, loader, objective, optimizers, StepSettings(**settings), list(handlers))


class Outputs:
    """Keeps ``engine.state.output`` of every iteration."""

    def __init__(self):
        self.seen = []

    def attach(self, engine):
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: self.seen.append(dict(e.state.output)))


# ---- one step


def test_step_follows_the_weighted_gradient():
    objective = LinearObjective({"supervised": 2.0, "consistency": 0.5}, start=2.0)
    make(objective).run()
    assert objective.w.item() == pytest.approx(2 - 0.1 * (2 * 1 + 0.5 * 3))


def test_weights_and_ramps_are_applied_at_the_iteration():
    outputs, ramp = Outputs(), Ramp(10.0, length=4)
    objective = LinearObjective({"supervised": 2.0, "consistency": ramp}, start=1.0)
    make(objective, sgd(objective.w, lr=0.0), batches(3), epochs=2, handlers=[outputs]).run()
    expected = [2 * 1 + ramp(step) * 3 for step in range(1, 7)]
    assert [float(o["loss"]) for o in outputs.seen] == pytest.approx(expected)


def test_output_holds_the_total_every_term_and_every_diagnostic_detached():
    trainer = make(LinearObjective({"supervised": 2.0}, start=1.0))
    trainer.run()
    output = trainer.state.output
    assert {name: value.item() for name, value in output.items()} == {
        "loss": 5.0, "supervised": 1.0, "consistency": 3.0, "weight": 1.0
    }  # fmt: skip
    assert not any(value.requires_grad for value in output.values())


def test_gradients_do_not_add_up_over_iterations():
    objective = LinearObjective(start=2.0)
    make(objective, loader=batches(3)).run()
    assert objective.w.item() == pytest.approx(2 - 3 * 0.1 * 4)


def test_every_optimizer_steps():
    objective = TwoWeights()
    make(objective, [sgd(objective.a, lr=0.1), sgd(objective.b, lr=0.01)]).run()
    assert objective.a.item() == pytest.approx(1 - 0.1 * 3)
    assert objective.b.item() == pytest.approx(1 - 0.01 * 4)


def test_gradients_are_clipped_to_their_common_norm():
    objective = TwoWeights()
    make(objective, max_grad_norm=1.0).run()
    assert objective.a.item() == pytest.approx(1 - 0.1 * 3 / 5, abs=1e-5)
    assert objective.b.item() == pytest.approx(1 - 0.1 * 4 / 5, abs=1e-5)


def test_gradients_of_each_optimizer_are_clipped_on_their_own():
    objective = TwoWeights()
    make(objective, [sgd(objective.a), sgd(objective.b)], max_grad_norm=1.0).run()
    assert objective.a.item() == pytest.approx(1 - 0.1, abs=1e-5)
    assert objective.b.item() == pytest.approx(1 - 0.1, abs=1e-5)


def test_small_gradients_are_not_clipped():
    objective = TwoWeights()
    make(objective, max_grad_norm=100.0).run()
    assert objective.a.item() == pytest.approx(1 - 0.1 * 3)


def test_objective_is_put_back_in_training_mode():
    class Evaluate:
        def attach(self, engine):
            engine.add_event_handler(Events.ITERATION_STARTED, lambda e: e.objective.eval())
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.check)

        def check(self, engine):
            assert engine.objective.training

    make(LinearObjective(), handlers=[Evaluate()]).run()


# ---- execution


def test_iteration_events_fire_in_order():
    fired = []
    events = [Events.ITERATION_COMPLETED, IterationEvents.MODEL_COMPLETED, IterationEvents.BACKWARD_COMPLETED,
              IterationEvents.LOSS_COMPLETED, IterationEvents.FORWARD_COMPLETED, Events.ITERATION_STARTED]  # fmt: skip
    trainer = make(LinearObjective())
    for event in events:
        trainer.add_event_handler(event, lambda engine, event=event: fired.append(event))
    trainer.run()
    assert fired == events[::-1]


def test_backward_and_step_happen_between_their_events():
    seen = {}
    objective = LinearObjective(start=2.0)
    trainer = make(objective)
    trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, lambda e: seen.update(grad_before=objective.w.grad))
    trainer.add_event_handler(
        IterationEvents.BACKWARD_COMPLETED,
        lambda e: seen.update(grad=objective.w.grad.item(), before_step=objective.w.item()),
    )
    trainer.run()
    assert seen == {"grad_before": None, "grad": 4.0, "before_step": 2.0}
    assert objective.w.item() == pytest.approx(1.6)


class Probe(LinearObjective):
    """Records what a convolution in the objective sees and gives."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 3, 1)
        self.seen = {}

    def forward(self, batch, step):
        output = self.layer(batch.image.expand(-1, 2, -1, -1))
        self.seen = {
            "output": output.dtype,
            "image": batch.image.is_contiguous(memory_format=torch.channels_last),
            "weight": self.layer.weight.is_contiguous(memory_format=torch.channels_last),
        }
        return {"supervised": output.float().mean()}


@pytest.mark.parametrize(("amp", "dtype"), [(True, torch.bfloat16), ("float16", torch.float16), (False, torch.float32)])
def test_autocast_reaches_the_network_on_a_cpu(amp, dtype):
    objective = Probe()
    trainer = make(objective, amp=amp)
    trainer.run()
    assert trainer.loss_scaler.is_enabled() == (amp == "float16")
    assert objective.seen["output"] == dtype
    assert objective.layer.weight.dtype == objective.layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize(("speedup", "dtype"), [(0.1, torch.float32), (3.0, torch.bfloat16)])
def test_the_machine_chooses_by_default(speedup, dtype, monkeypatch):
    monkeypatch.setattr("common.precision.bfloat16_speedup", lambda: speedup)
    objective = Probe()
    make(objective).run()
    assert objective.seen["output"] == dtype


def test_networks_and_images_are_laid_out_channels_last():
    objective = Probe()
    make(objective, channels_last=True).run()
    assert objective.seen["image"]
    assert objective.seen["weight"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"amp": "float8"}, "amp must be .*bfloat16.*'float8'"), ({"check_every": 0}, "at least 1")],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        StepSettings(**options)


# ---- float16: the loss is scaled


class Steep(LinearObjective):
    """One term ``slope * w``; the gradient overflows while slope times the scale of the loss exceeds float32."""

    TERMS = ("supervised",)

    def __init__(self, slope):
        super().__init__(start=1.0)
        self.slope = slope

    def forward(self, batch, step):
        return {"supervised": self.slope * self.w}


@pytest.mark.parametrize("clip", [None, 1000.0])
def test_a_scaled_step_is_the_unscaled_one(clip):
    objective = LinearObjective({"supervised": 2.0, "consistency": 0.5}, start=2.0)
    make(objective, amp="float16", max_grad_norm=clip).run()
    assert objective.w.item() == pytest.approx(2 - 0.1 * (2 * 1 + 0.5 * 3))


def test_gradients_are_unscaled_before_they_are_clipped():
    objective = TwoWeights()
    make(objective, [sgd(objective.a), sgd(objective.b, lr=0.2)], max_grad_norm=3.5, amp="float16").run()
    assert objective.a.item() == pytest.approx(1 - 0.1 * 3, abs=1e-5)
    assert objective.b.item() == pytest.approx(1 - 0.2 * 3.5, abs=1e-5)


@pytest.mark.parametrize(("clip", "moved"), [(None, 0.5), (1.0, 5e-36)])
def test_a_step_whose_gradient_overflows_is_skipped_and_training_goes_on(clip, moved):
    objective, outputs = Steep(1e35), Outputs()
    optimizer = sgd(objective.w, lr=5e-36)
    trainer = make(objective, optimizer, batches(6), handlers=[outputs], amp="float16", max_grad_norm=clip)
    trainer.run()  # 1e35 times 2**12 is more than float32 holds: five steps are skipped, the sixth is taken
    assert all(torch.isfinite(output["loss"]) for output in outputs.seen)
    assert trainer.loss_scaler.get_scale() == 2.0**11
    assert objective.w.item() == pytest.approx(1 - moved)


def test_gradients_that_are_never_finite_end_the_training():
    objective = LinearObjective(start=1.0)
    objective.w.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(FloatingPointError, match="gradients stay NaN or infinite"):
        make(objective, loader=batches(100), amp="float16").run()
    assert objective.w.item() == 1


# ---- failures


@pytest.mark.parametrize(
    ("fails_at", "check_every", "stops_at"),
    [(1, 1, 1), (3, 1, 3), (2, 3, 3), (3, 3, 3), (4, 5, 5), (7, 5, 10), (3, 100, 5), (6, 100, 10)],
)
def test_a_term_that_is_not_finite_stops_training_and_leaves_no_file(tmp_path, fails_at, check_every, stops_at):
    objective = FailingObjective(fails_at)
    optimizer = sgd(*objective.parameters())
    save = SaveModel(objective, tmp_path / "models" / "model.pt")
    trainer = make(objective, optimizer, batches(5), epochs=2, handlers=[save], check_every=check_every)
    with pytest.raises(FloatingPointError, match=rf"iteration {fails_at}: loss term consistency is NaN"):
        trainer.run()
    assert trainer.state.iteration == stops_at
    assert not list(tmp_path.rglob("*.pt"))


def test_a_failure_between_two_checks_does_not_reach_the_resume_file(tmp_path):
    objective = FailingObjective(7)
    optimizer = sgd(*objective.parameters())
    resume = Resume(tmp_path / "resume.pt", objective, [optimizer], [], nn.Identity())
    with pytest.raises(FloatingPointError, match="iteration 7"):
        make(objective, optimizer, batches(5), epochs=3, handlers=[resume], check_every=100).run()
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    assert state["iteration"] == 5
    assert torch.isfinite(state["objective"]["w"])


def test_a_failure_that_is_seen_at_once_leaves_the_weights_alone():
    objective = FailingObjective(2)
    with pytest.raises(FloatingPointError):
        make(objective, loader=batches(3)).run()
    assert objective.w.item() == pytest.approx(2 - 0.1 * 4)


def test_a_run_that_is_terminated_after_a_failure_saves_no_broken_weights(tmp_path):
    objective = FailingObjective(2)
    trainer = make(objective, loader=batches(5), handlers=[SaveModel(objective, tmp_path / "m.pt")], check_every=100)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda engine: engine.terminate())
    with pytest.raises(FloatingPointError, match="iteration 2"):
        trainer.run()
    assert not (tmp_path / "m.pt").exists()


def test_all_terms_that_fail_first_are_named():
    class Both(FailingObjective):
        def forward(self, batch, step):
            terms = super().forward(batch, step)
            return {**terms, "supervised": terms["supervised"] / 0}

    with pytest.raises(FloatingPointError, match="iteration 1: loss term supervised, consistency is NaN or infinite"):
        make(Both(1)).run()
