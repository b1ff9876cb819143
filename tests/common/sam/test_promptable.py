import io

import pytest
import torch

from common.errors import InputError
from common.sam import BoxRefiner, EmbeddingCache
from common.wheels import file_hash


@pytest.fixture
def label():
    label = torch.zeros(2, 40, 60, dtype=torch.int64)
    label[0, 5:20, 10:30] = 1
    label[0, 30:35, 40:50] = 2
    label[1, 8:12, 3:50] = 2
    return label


def test_a_refined_batch_equals_its_images(sam, label):
    refiner, images = BoxRefiner(sam, 3, "unit"), torch.rand(2, 1, 40, 60)
    both = refiner(images, label)
    assert both.label.shape == label.shape and both.logits.shape == (2, 2, 40, 60)
    assert both.prompted.tolist() == [[True, True], [False, True]]
    for i in range(2):
        alone = refiner(images[i : i + 1], label[i : i + 1])
        torch.testing.assert_close(alone.logits[0], both.logits[i], atol=1e-5, rtol=1e-5)


def test_prompts_are_the_boxes_of_the_labels_in_sams_pixels(sam, label):
    refiner = BoxRefiner(sam, 3, "unit", box_pad=0)
    boxes, valid = refiner.prompts(label, refiner.frame((40, 60)))
    assert boxes.shape == (2, 2, 1, 4) and valid[..., 0].tolist() == [[True, True], [False, True]]
    x, y = 64 / 60, 64 / 40
    expected = torch.tensor([10.5 * x - 0.5, 5.5 * y - 0.5, 29.5 * x - 0.5, 19.5 * y - 0.5])
    torch.testing.assert_close(boxes[0, 0, 0], expected)


def test_boxes_for_training_start_at_the_object_and_move_outward_at_random(sam, label):
    refiner = BoxRefiner(sam, 3, "unit", box_pad=0)
    frame = refiner.frame((40, 60))
    tight, moved = refiner.prompts(label, frame)[0], refiner.prompts(label, frame, 4 / 64)[0]
    shift = ((moved - tight) * torch.tensor([-1, -1, 1, 1]))[[0, 0], [0, 1]]
    assert shift.min() >= 0 and 1 < shift.max() <= 4
    padded = BoxRefiner(sam, 3, "unit", box_pad=0.5).prompts(label, frame, 0.0)[0]
    assert torch.equal(padded, tight)


def test_empty_groups_are_skipped_or_prompted_with_everything(sam, label):
    images = torch.rand(2, 1, 40, 60)
    assert not BoxRefiner(sam, 3, "unit")(images, torch.zeros_like(label)).label.any()
    refiner = BoxRefiner(sam, 3, "unit", empty="full_box")
    boxes, valid = refiner.prompts(label, refiner.frame((40, 60)))
    assert valid.all() and boxes[1, 0, 0].tolist() == [0, 0, 63, 63]


def test_masks_of_components_are_merged_by_their_maximum(sam):
    label = torch.zeros(1, 64, 64, dtype=torch.int64)
    label[0, 4:20, 4:20] = label[0, 40:60, 30:60] = 1
    refiner, images = BoxRefiner(sam, 2, "unit", components=2), torch.rand(1, 1, 64, 64)
    merged = refiner(images, label).logits[0, 0]
    parts = []
    for part in (
        label.clone().index_fill(1, torch.arange(30), 0),
        label.clone().index_fill(1, torch.arange(30, 64), 0),
    ):
        parts.append(refiner(images, part).logits[0, 0])
    torch.testing.assert_close(merged, torch.maximum(*parts), atol=1e-5, rtol=1e-5)


def test_the_decoder_learns_through_its_masks(sam):
    refiner = BoxRefiner(sam, 2, "unit")
    embeddings, _ = refiner.embed(torch.rand(2, 1, 64, 64))
    boxes = torch.tensor([[4.0, 4, 30, 30], [10, 20, 60, 60]])
    refiner.masks(embeddings.detach(), boxes).square().sum().backward()
    assert sam.mask_decoder.mask_tokens.weight.grad[0].abs().sum() > 0
    assert sam.image_encoder.pos_embed.grad is None


@pytest.mark.parametrize("mode", ["off", "ram", "disk"])
def test_kept_embeddings_equal_fresh_ones(sam, mode, tmp_path):
    refiner, images = BoxRefiner(sam, 2, "unit"), torch.rand(3, 1, 64, 64)
    computed = []

    def compute(positions):
        computed.append(positions)
        with torch.no_grad():
            return refiner.embed(images[positions])[0]

    cache = EmbeddingCache(mode, {"size": 64}, tmp_path)
    first = cache.get(["a", "b", "a"], lambda positions: compute(positions))
    again = cache.get(["b", "a"], compute)
    if mode == "off":
        assert computed == [[0, 1, 2], [0, 1]]
        return
    assert computed == [[0, 1]]
    torch.testing.assert_close(first, compute([0, 1, 0]), atol=2e-3, rtol=1e-3)
    assert torch.equal(again, first[[1, 0]])
    other = EmbeddingCache(mode, {"size": 128}, tmp_path)
    other.get(["a"], compute)
    assert computed[-1] == [0]
    if mode == "disk":
        kept = EmbeddingCache(mode, {"size": 64}, tmp_path)
        assert torch.equal(kept.get(["a"], lambda _: pytest.fail("was kept")), first[:1])


def saved(thing):
    torch.save(thing, buffer := io.BytesIO())
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"half", saved(print)], ids=["torn", "could run code"])
def test_a_damaged_embedding_is_named(tmp_path, content):
    cache = EmbeddingCache("disk", {}, tmp_path)
    cache.get(["a"], lambda _: torch.ones(1, 2, 3, 3))
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    with pytest.raises(InputError, match=f"{file.name}: damaged embedding"):
        cache.get(["a"], lambda _: torch.ones(1, 2, 3, 3))


def test_a_cache_on_disk_needs_a_folder():
    with pytest.raises(InputError, match="needs a folder"):
        EmbeddingCache("disk")


def test_file_hash(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_hash(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
