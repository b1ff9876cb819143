import pytest
import torch

from common.errors import InputError
from common.sam import BoxRefiner
from common.sam.tuning import box_loss, choose_trained, keep_frozen_out_of_state, late_blocks, let_encoder_learn


@pytest.mark.parametrize("tuned", ["none", "decoder", "lora_decoder", "full"])
def test_every_trained_tensor_and_no_other_gets_a_gradient(sam, tuned):
    choose_trained(sam, tuned)
    refiner, labels = BoxRefiner(sam, 3, "unit"), torch.zeros(2, 64, 64, dtype=torch.int64)
    labels[:, 10:30, 12:40] = 1
    labels[0, 40:60, 30:50] = 2
    loss = box_loss(refiner, *refiner.embed(torch.rand(2, 1, 64, 64)), labels)
    assert loss.requires_grad == (tuned != "none")
    if loss.requires_grad:
        loss.backward()
    for name, parameter in sam.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    trained = [name for name, parameter in sam.named_parameters() if parameter.requires_grad]
    assert any(".lora_" in name for name in trained) == (tuned == "lora_decoder")
    assert any("pos_embed" in name for name in trained) == (tuned == "full")
    assert not any("prompt_encoder" in name for name in trained)


@pytest.mark.parametrize("empty", ["skip", "full_box"])
def test_the_loss_is_the_mean_over_present_groups(sam, monkeypatch, empty):
    """Also where an absent one is prompted with a full box."""
    labels = torch.zeros(2, 64, 64, dtype=torch.int64)
    labels[0, :32] = labels[1, :32] = 1
    labels[1, 32:] = 2
    answers = torch.full((4, 16, 16), -20.0)  # two groups of each image: right, absent; wrong, right
    answers[0, :8] = answers[3, 8:] = 20.0
    refiner = BoxRefiner(sam, 3, "unit", empty=empty)
    monkeypatch.setattr(refiner, "masks", lambda *_: answers)
    loss = box_loss(refiner, torch.empty(0), refiner.frame((64, 64)), labels)
    assert loss.item() == pytest.approx(1 / 3, abs=0.03)  # the interpolated border is neither


def test_unknown_choices_are_errors(sam):
    with pytest.raises(ValueError, match="tuned must be one of"):
        choose_trained(sam, "all")


def test_what_does_not_learn_is_left_out_of_the_state_and_stays_when_one_is_loaded():
    def pair():
        module = torch.nn.ModuleDict({"learns": torch.nn.Linear(2, 1), "stays": torch.nn.Linear(2, 1)})
        module["stays"].requires_grad_(False)
        return keep_frozen_out_of_state(module)

    first, second, whole = pair(), pair(), torch.nn.ModuleDict({"inner": pair()})
    kept = second["stays"].weight.clone()
    assert set(first.state_dict()) == {"learns.weight", "learns.bias"}
    assert set(whole.state_dict()) == {"inner.learns.weight", "inner.learns.bias"}
    second.load_state_dict(first.state_dict())
    assert torch.equal(second["learns"].weight, first["learns"].weight) and torch.equal(second["stays"].weight, kept)
    whole.load_state_dict({f"inner.{name}": value for name, value in first.state_dict().items()})
    assert torch.equal(whole["inner"]["learns"].weight, first["learns"].weight)


def test_the_last_blocks_are_at_least_one_and_at_most_all(sam):
    depth = len(sam.image_encoder.blocks)
    assert late_blocks(sam, None) == late_blocks(sam, depth) == range(depth)
    assert late_blocks(sam, 1) == range(depth - 1, depth)
    for wrong in (0, depth + 1, 0.5):
        with pytest.raises(InputError, match=f"expected 1 to {depth}"):
            late_blocks(sam, wrong)


def test_the_encoder_learns_wholly_or_in_its_last_blocks_and_its_neck(sam):
    encoder = sam.image_encoder
    let_encoder_learn(sam)
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    let_encoder_learn(sam, 1)
    late = {id(p) for part in (encoder.neck, encoder.blocks[-1]) for p in part.parameters()}
    assert late and all(parameter.requires_grad == (id(parameter) in late) for parameter in encoder.parameters())
