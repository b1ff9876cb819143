import pytest
import torch
from ignite.engine import Engine
from torch import nn

from common.errors import InputError
from common.handlers import EMAHandler
from common.networks import make_teacher


class OneWeight(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(float(value)))


def run(student, values, epochs=1, **options):
    """Train ``student`` by setting its weight to the values in turn; returns the teacher and its weights over time."""
    teacher, weights = make_teacher(student), []
    teacher.w.data.fill_(-100.0)

    def step(engine, value):
        weights.append(teacher.w.item())
        student.w.data.fill_(value)

    engine = Engine(step)
    EMAHandler(student, teacher, **options).attach(engine)
    engine.run(values, max_epochs=epochs)
    return teacher, weights[1:] + [teacher.w.item()], engine


def closed_form(start, values, decay, warm_up):
    teacher, weights = start, []
    for t, value in enumerate(values, start=1):
        a = min(1 - 1 / (t + 1), decay) if warm_up else decay
        teacher = a * teacher + (1 - a) * value
        weights.append(teacher)
    return weights


@pytest.mark.parametrize("warm_up", [True, False])
@pytest.mark.parametrize("decay", [0.5, 0.7, 0.99])
def test_teacher_follows_the_closed_form(decay, warm_up):
    values = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0]
    _, weights, _ = run(OneWeight(2.0), values, decay=decay, warm_up=warm_up)
    assert weights == pytest.approx(closed_form(2.0, values, decay, warm_up), rel=1e-5)


def test_warm_up_is_the_plain_average_until_the_decay_is_reached():
    values = [3.0, -1.0, 4.0]
    _, weights, _ = run(OneWeight(2.0), values, decay=0.99)
    assert weights[-1] == pytest.approx((2 + 3 - 1 + 4) / 4)


def test_warm_up_counts_iterations_over_epochs():
    _, weights, _ = run(OneWeight(0.0), [1.0, 2.0], epochs=2, decay=0.99)
    assert weights[-1] == pytest.approx((0 + 1 + 2 + 1 + 2) / 5)


def test_current_momentum_is_shown_on_the_state():
    _, _, engine = run(OneWeight(0.0), [1.0, 2.0, 3.0], decay=0.6, name="momentum")
    assert engine.state.momentum == pytest.approx(0.4)
    _, _, engine = run(OneWeight(0.0), [1.0], decay=0.6)
    assert engine.state.ema_momentum == pytest.approx(0.5)


def test_student_and_gradients_are_left_alone():
    student = OneWeight(2.0)
    teacher, _, _ = run(student, [3.0, 5.0])
    assert student.w.item() == 5
    assert student.w.requires_grad
    assert not teacher.w.requires_grad
    assert teacher.w.grad is None


# ---- start


def test_a_fresh_run_starts_from_the_student():
    teacher, weights, _ = run(OneWeight(2.0), [2.0, 2.0])
    assert weights == [2.0, 2.0]


def test_a_resumed_run_keeps_its_teacher():
    student, teacher = OneWeight(2.0), OneWeight(7.0).requires_grad_(False)
    engine = Engine(lambda engine, value: None)
    handler = EMAHandler(student, teacher, decay=0.5, warm_up=False)
    handler.attach(engine)
    engine.state.iteration = 3
    handler.start(engine)
    assert teacher.w.item() == 7
    engine.state.iteration = 0
    handler.start(engine)
    assert teacher.w.item() == 2


def test_starting_copies_values_and_shares_no_storage():
    student = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    teacher = make_teacher(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)))
    engine = Engine(lambda engine, batch: None)
    EMAHandler(student, teacher).start(engine)
    for name, value in student.state_dict().items():
        assert torch.equal(teacher.state_dict()[name], value)
        assert teacher.state_dict()[name].data_ptr() != value.data_ptr()


# ---- buffers


def run_norm(buffers, steps=3, train=True):
    """A batch-norm student on constant batches 1, 2, ...; returns it, its teacher and the student's running means."""
    student = nn.BatchNorm1d(1)
    teacher, means = make_teacher(student).train(train), []

    def step(engine, batch):
        student.train()(batch)
        means.append(student.running_mean.item())

    engine = Engine(step)
    EMAHandler(student, teacher, decay=0.5, warm_up=False, buffers=buffers).attach(engine)
    engine.run([torch.full((2, 1), float(value)) for value in range(1, steps + 1)])
    return student, teacher, means


def test_copied_buffers_equal_those_of_the_student():
    student, teacher, _ = run_norm("copy")
    for name, value in student.named_buffers():
        assert torch.equal(dict(teacher.named_buffers())[name], value)


def test_averaged_buffers_follow_the_closed_form():
    _, teacher, means = run_norm("ema")
    assert teacher.running_mean.item() == pytest.approx(closed_form(0.0, means, 0.5, False)[-1])


def test_own_buffers_are_left_to_the_teacher():
    _, teacher, _ = run_norm("own")
    assert (teacher.running_mean.item(), teacher.running_var.item(), teacher.num_batches_tracked.item()) == (0, 1, 0)


def test_own_buffers_of_a_teacher_in_eval_mode_are_a_mistake():
    with pytest.raises(InputError, match="ema_buffers=own needs a teacher in training mode"):
        run_norm("own", train=False)
    run_norm("ema", train=False)


@pytest.mark.parametrize("buffers", ["copy", "own", "ema"])
def test_teacher_in_training_mode_does_not_write_into_the_students_buffers(buffers):
    student, teacher, _ = run_norm(buffers)
    before = {name: value.clone() for name, value in student.named_buffers()}
    teacher.train()(torch.randn(8, 1) * 9)
    for name, value in student.named_buffers():
        assert torch.equal(value, before[name]), name


def test_unknown_buffers_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="copy.*'share'"):
        EMAHandler(OneWeight(0.0), OneWeight(0.0), buffers="share")


def test_counting_from_zero_makes_the_first_update_a_copy():
    _, weights, _ = run(OneWeight(2.0), [3.0, 5.0], decay=0.99, first=0)
    assert weights == pytest.approx([3.0, 4.0])


def test_parameters_shared_with_a_frozen_student_stay_what_they_are():
    student = nn.Sequential(OneWeight(2.0), OneWeight(7.0).requires_grad_(False))
    teacher = make_teacher(student)
    assert teacher[1].w is student[1].w and teacher[0].w is not student[0].w
    engine = Engine(lambda engine, value: student[0].w.data.fill_(value))
    EMAHandler(student, teacher, decay=0.5, warm_up=False).attach(engine)
    engine.run([4.0])
    assert (float(teacher[0].w), float(student[1].w)) == (3.0, 7.0)
