import pytest
import torch
from ssnet import PrototypeSeparation, separation
from torch import nn
from torch.nn import functional as F


def make(**options):
    return PrototypeSeparation(**{"feature_channels": 4, "dim": 4, "k": 3, **options})


def plain(**options):
    """A separation whose projector and predictor do nothing and whose selectors score the first coordinate."""
    term = make(**options)
    term.projector, term.predictor = nn.Identity(), nn.Identity()
    for selectors in (term.feature_selectors, term.memory_selectors):
        for c in range(term.classes):
            selectors[c] = nn.Linear(4, 1)
            with torch.no_grad():
                selectors[c].weight.copy_(torch.tensor([[1.0, 0, 0, 0]]))
                selectors[c].bias.zero_()
    return term


def voxels(*rows):
    """Rows ``M, 4`` as a batch of one sample, ``1, M, 4``."""
    return torch.tensor(rows)[None]


def sample(classes=3, batch=4, labeled=2, side=5):
    features = torch.randn(batch, 4, side, side, requires_grad=True)
    prediction = torch.randint(classes, (batch, side, side))
    label = torch.where(
        torch.rand(labeled, side, side) < 0.5, prediction[:labeled], torch.randint(classes, (labeled, side, side))
    )
    return features, prediction, label


def naive_contrast(rows, ids, term):
    """The published M x K loop, in eval mode."""
    total = 0.0
    for c in range(1, term.classes):
        own, memory = rows[ids == c], term.memory[c, : int(term.stored[c])]
        if len(own) < 2 or len(memory) < 2:
            continue
        projected = term.predictor(term.projector(own))
        a = torch.sigmoid(term.feature_selectors[c](projected.detach())).squeeze(1)
        b = torch.sigmoid(term.memory_selectors[c](memory)).squeeze(1)
        w, wp = len(own) * a / a.sum(), len(memory) * b / b.sum()
        if not term.memory_attention:
            wp = torch.ones_like(wp)
        for i in range(len(own)):
            for j in range(len(memory)):
                distance = 1 - F.cosine_similarity(projected[i], memory[j], dim=0)
                total += w[i] * wp[j] * distance / (len(own) * len(memory))
    return total / term.classes


# ---- prototypes


def test_heads_have_the_published_number_of_parameters():
    term = PrototypeSeparation(classes=2)

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(term.projector) == 1_664
    assert count(term.predictor) == 2_176
    assert [count(s) for s in (*term.feature_selectors, *term.memory_selectors)] == [1_153] * 4


ROWS = [[float(i), 1.0, 0.0, float(i % 2)] for i in (4, 0, 5, 1, 3, 2)]


@pytest.mark.parametrize(("rank", "expected"), [("top", {3.0, 4.0, 5.0}), ("bottom", {0.0, 1.0, 2.0})])
def test_ranking_keeps_the_expected_candidates(rank, expected):
    term = plain(rank=rank, k=3)
    ones = torch.ones(1, 6, dtype=torch.long)
    term.update_memory(voxels(*ROWS), ones, ones)
    assert set(term.memory[1, :, 0].tolist()) == expected
    assert term.stored.tolist() == [0, 3]
    for prototype in term.memory[1].tolist():
        assert prototype in ROWS


def test_few_candidates_are_all_kept():
    term = plain(k=10)
    ones = torch.ones(1, 6, dtype=torch.long)
    term.update_memory(voxels(*ROWS), ones, ones)
    assert term.stored.tolist() == [0, 6]
    assert term.memory[1, :6].tolist() == ROWS
    assert not term.memory[1, 6:].any()


def test_candidates_are_labeled_foreground_voxels_that_are_predicted_rightly():
    term = plain(classes=3, k=10)
    label, prediction = torch.tensor([[0, 1, 1, 2, 2, 0]]), torch.tensor([[0, 1, 2, 2, 2, 1]])
    term.update_memory(voxels(*ROWS), prediction, label)
    assert term.stored.tolist() == [0, 1, 2]
    assert term.memory[1, 0].tolist() == ROWS[1]
    assert term.memory[2, :2].tolist() == [ROWS[3], ROWS[4]]
    assert not term.memory[0].any()


def test_prototypes_stay_without_a_candidate_and_are_replaced_with_one():
    term = plain(k=3)
    ones, zeros = torch.ones(1, 6, dtype=torch.long), torch.zeros(1, 6, dtype=torch.long)
    term.update_memory(voxels(*ROWS), ones, ones)
    before = term.memory.clone()
    term.update_memory(voxels(*ROWS) + 10, ones, zeros)
    assert torch.equal(term.memory, before)
    one = torch.tensor([[1, 0, 0, 0, 0, 0]])
    term.update_memory(voxels(*ROWS) + 10, ones, one)
    assert term.stored[1] == 1
    assert term.memory[1, 0].tolist() == [14, 11, 10, 10]


def test_projector_of_the_prototypes_uses_and_keeps_its_running_statistics():
    term = make().train()
    ones, rows = torch.ones(1, 3, dtype=torch.long), torch.randn(1, 3, 4)
    before = {name: value.clone() for name, value in term.projector.state_dict().items()}
    term.update_memory(rows, ones, ones)
    assert term.projector.training
    for name, value in term.projector.state_dict().items():
        assert torch.equal(value, before[name]), name
    torch.testing.assert_close(term.memory[1], term.projector.eval()(rows[0]))


def test_prototypes_are_part_of_the_state():
    term, fresh = plain(k=3), plain(k=3)
    ones = torch.ones(1, 6, dtype=torch.long)
    term.update_memory(voxels(*ROWS), ones, ones)
    fresh.load_state_dict(term.state_dict())
    assert torch.equal(fresh.memory, term.memory)
    assert torch.equal(fresh.stored, term.stored)


# ---- loss


@pytest.mark.parametrize("memory_attention", [True, False])
@pytest.mark.parametrize("classes", [2, 4])
def test_loss_and_gradient_equal_the_naive_double_loop_on_both_streams(classes, memory_attention):
    term = make(classes=classes, memory_attention=memory_attention).eval()
    features, prediction, label = sample(classes)
    loss = term(features, prediction, label)
    rows = features.movedim(1, -1)
    expected = naive_contrast(rows[:2].flatten(0, 2), label.flatten(), term)
    expected = expected + naive_contrast(rows[2:].flatten(0, 2), prediction[2:].flatten(), term)
    assert expected.item() > 0.01
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)
    gradients = [torch.autograd.grad(value, features)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=0)


def test_loss_without_unlabeled_samples_is_that_of_the_labeled_ones():
    term = make().eval()
    features, prediction, label = sample(2, batch=2)
    loss = term(features, prediction, label)
    expected = naive_contrast(features.movedim(1, -1).flatten(0, 2), label.flatten(), term)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)


def test_background_rows_do_not_matter_to_the_heads_in_eval_mode():
    features, prediction, label = sample(3)
    foreground, everything = make(classes=3, rows="foreground").eval(), make(classes=3, rows="all").eval()
    everything.load_state_dict(foreground.state_dict())
    torch.testing.assert_close(foreground(features, prediction, label), everything(features, prediction, label))


def test_background_rows_change_the_heads_statistics_in_training_mode():
    features, prediction, label = sample(3)
    foreground, everything = make(classes=3, rows="foreground"), make(classes=3, rows="all")
    everything.load_state_dict(foreground.state_dict())
    assert not torch.allclose(foreground(features, prediction, label), everything(features, prediction, label))


@pytest.mark.parametrize(("rows", "expected"), [("foreground", [0, 5, 2]), ("all", [5, 5, 2])])
def test_row_limit_keeps_a_random_subset_per_class(rows, expected):
    term = make(classes=3, rows=rows, row_limit=5)
    classes = torch.tensor([0] * 9 + [1] * 8 + [2] * 2 + [0] * 5).view(2, 3, 4)
    subsets = [term.select(classes) for _ in range(20)]
    for kept in subsets:
        assert torch.bincount(classes[kept], minlength=3).tolist() == expected
    assert len({tuple(kept.flatten().tolist()) for kept in subsets}) > 5


@pytest.mark.parametrize("rows", ["foreground", "all"])
def test_row_limit_takes_classes_of_any_memory_layout(rows):
    classes = torch.randint(0, 2, (1, 4, 6, 5)).permute(0, 3, 2, 1)
    make(rows=rows, row_limit=5).select(classes)


def test_no_row_limit_keeps_all_rows():
    classes = torch.tensor([[0, 1, 1, 2]])
    assert make(classes=3).select(classes).tolist() == [[False, True, True, True]]
    assert make(classes=3, rows="all").select(classes).all()


@pytest.mark.parametrize("foreground", [0, 1])
def test_loss_of_empty_or_single_voxel_foreground_is_an_exact_zero_with_a_graph(foreground):
    term = make()
    features = torch.randn(2, 4, 3, 3, requires_grad=True)
    label, prediction = torch.zeros(1, 3, 3, dtype=torch.long), torch.zeros(2, 3, 3, dtype=torch.long)
    if foreground:
        label[0, 0, 0] = prediction[:, 0, 0] = 1
    loss = term(features, prediction, label)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_labeled_foreground_without_a_right_prediction_has_no_prototypes_and_no_loss():
    features, _, _ = sample(2)
    label = torch.ones(2, 5, 5, dtype=torch.long)
    assert make()(features, torch.zeros(4, 5, 5, dtype=torch.long), label).item() == 0


def test_gradient_reaches_features_heads_and_the_selectors_of_the_foreground():
    term = make(classes=2)
    features, prediction, label = sample(2)
    term(features, prediction, label).backward()
    modules = (term.projector, term.predictor, term.feature_selectors[1], term.memory_selectors[1])
    assert features.grad.abs().sum() > 0
    for module in modules:
        assert sum(p.grad.abs().sum() for p in module.parameters()) > 0
    assert not term.memory.requires_grad


# ---- attention


@pytest.fixture
def weights(monkeypatch):
    """The prototype weights of every call of the distance."""
    seen = []

    def spy(features, prototypes, feature_weights, prototype_weights):
        seen.append((feature_weights.detach(), prototype_weights.detach()))
        return distance(features, prototypes, feature_weights, prototype_weights)

    distance = separation.weighted_prototype_distance
    monkeypatch.setattr(separation, "weighted_prototype_distance", spy)
    return seen


def test_attention_weights_have_mean_one_and_train_the_memory_selector(weights):
    term = make(memory_attention=True)
    term(*sample(2)).backward()
    assert len(weights) == 4  # both streams, and once more for their gradient
    for w, wp in weights:
        assert w.mean().item() == pytest.approx(1, abs=1e-5)
        assert wp.mean().item() == pytest.approx(1, abs=1e-5)
        assert wp.std() > 1e-4
    assert all(p.grad is not None for p in term.memory_selectors[1].parameters())
    assert term.memory_selectors[1][0].weight.grad.abs().sum() > 0


def test_switched_off_attention_weighs_every_prototype_exactly_one_and_trains_no_selector(weights):
    term = make(memory_attention=False)
    term(*sample(2)).backward()
    assert len(weights) == 4
    assert all((wp == 1).all() for _, wp in weights)
    assert all(p.grad is None or not p.grad.any() for p in term.memory_selectors.parameters())


def test_attention_by_hand():
    selector = nn.Linear(1, 1)
    nn.init.ones_(selector.weight), nn.init.zeros_(selector.bias)
    rows = torch.tensor([[0.2], [0.6]]).logit()
    torch.testing.assert_close(PrototypeSeparation.attention(selector, rows), torch.tensor([0.5, 1.5]))


@pytest.mark.parametrize("option", ["rank", "rows"])
def test_unknown_options_are_refused_by_name(option):
    with pytest.raises(ValueError, match=f"{option} must be one of .*'wrong'"):
        make(**{option: "wrong"})


def test_the_selector_of_prototypes_sees_them_raw_or_normalized():
    prototypes = torch.randn(3, 4)
    seen = {}
    for memory_input in ("raw", "normalized"):
        term = make(memory_input=memory_input)
        term.memory[1], term.stored[1] = prototypes, 3
        term.memory_selectors[1].register_forward_pre_hook(lambda _, rows, key=memory_input: seen.update({key: rows}))
        term._class_loss(torch.randn(5, 4), 1)
    assert torch.equal(seen["raw"][0], prototypes)
    torch.testing.assert_close(seen["normalized"][0], F.normalize(prototypes, dim=1))


def test_computed_once_more_for_the_gradient_as_if_kept(monkeypatch):
    features, *others = sample(2)
    results = []
    for again in (True, False):
        torch.manual_seed(0)
        term = make(row_limit=20)
        if not again:
            monkeypatch.setattr(term, "_contrast_again", term.contrast)
        torch.manual_seed(1)
        rows = features.detach().clone().requires_grad_()
        for _ in range(2):
            loss = term(rows, *others)
            loss.backward(retain_graph=True)
        loss.backward()
        results.append((loss, rows.grad, *(p.grad for p in term.projector.parameters()), *term.buffers()))
    torch.testing.assert_close(*results, atol=1e-6, rtol=1e-5)
