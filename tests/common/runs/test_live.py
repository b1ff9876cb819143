import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.inferers import SimpleInferer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.engines import SemiSupervisedTrainer, StepSettings, make_evaluator
from common.errors import InputError
from common.handlers import History
from common.outlines import fullest_slice
from common.runs import live
from common.runs.live import LiveView
from tests.toys import LinearObjective, batches


class Half(torch.nn.Module):
    """Takes the image for the probability of the foreground."""

    def forward(self, image):
        return torch.cat([1 - image, image], dim=1)


def validation(cases=5, size=(8, 8, 4)):
    """The evaluator of cases with a box as label, of which the prediction has one half."""
    label = torch.zeros(1, *size, dtype=torch.uint8)
    label[:, 2:6, 2:6, 1] = 1
    image = label.float()
    image[:, 4:] = 0
    dataset = [{"image": image, "label": label} for _ in range(cases)]
    return make_evaluator("cpu", dataset, Half(), SimpleInferer(), num_classes=2)


def train(folder, epochs, start=0):
    objective, evaluator = LinearObjective(), validation()
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.25)
    history = History(folder / "history.csv")
    trainer = SemiSupervisedTrainer("cpu", epochs, batches(5), objective, optimizer, StepSettings(amp="float32"))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: evaluator.run())
    for handler in (history, LiveView(history, evaluator, folder)):
        handler.attach(trainer)
    if start:
        state = {"iteration": start, "max_epochs": epochs, "epoch_length": 5}
        trainer.load_state_dict({**state, "history": {"sums": {}, "counts": {}}})
    trainer.run()


def events(folder):
    accumulator = EventAccumulator(str(folder / "tensorboard"), {"images": 0, "scalars": 0})
    return accumulator.Reload()


def steps(found, name):
    return [event.step for event in found.Scalars(name)]


def test_curves_and_pictures_are_written(tmp_path):
    train(tmp_path, 2)
    found = events(tmp_path)
    assert steps(found, "loss/supervised") == steps(found, "validation/mean_dice") == [5, 10]
    assert {event.value for event in found.Scalars("rate/0")} == {0.25}
    assert found.Scalars("validation/mean_dice")[0].value == pytest.approx(2 * 8 / (8 + 16))
    assert sorted(found.Tags()["images"]) == [f"validation/case {number}" for number in (1, 2, 3)]
    assert all(len(found.Images(name)) == 2 for name in found.Tags()["images"])
    picture = found.Images("validation/case 1")[0]
    assert picture.width > picture.height > 100


def test_a_continued_run_drops_what_was_written_beyond_its_start(tmp_path):
    train(tmp_path, 3)
    train(tmp_path, 4, start=10)
    found = events(tmp_path)
    assert steps(found, "loss/supervised") == [5, 10, 15, 20]


def test_label_and_prediction_stand_side_by_side():
    label = torch.zeros(8, 8, 4, dtype=torch.long)
    label[2:6, 2:6, 3] = 1
    figure = live._drawn(torch.rand(8, 8, 4), label, torch.zeros_like(label))
    drawn = [len(axis.collections) for axis in figure.axes]
    assert [axis.get_title() for axis in figure.axes] == ["label", "prediction"] and drawn == [1, 0]
    small = live._drawn(torch.rand(4, 4), label[..., 3], label[..., 3])  # compared at another size
    assert small.axes[0].images[0].get_array().shape == (8, 8)


def test_the_fullest_slice_is_shown_and_the_middle_one_of_an_empty_label():
    mask = np.zeros((4, 4, 7))
    assert fullest_slice(mask) == 3
    mask[0, 0, 1] = mask[:, 0, 5] = 1
    assert fullest_slice(mask) == 5


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(live, "optional_import", lambda name: (None, False))
    with pytest.raises(InputError, match="tensorboard: true needs .* pip install tensorboard matplotlib"):
        LiveView(None, None, "folder")
