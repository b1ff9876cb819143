"""LiteMedSAM against numbers recorded from the published network; its weights come from an optional package."""

import copy
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from common.sam import (
    BoxRefiner,
    Sam,
    SamSegmenter,
    build_sam,
    decode,
    embed_boxes,
    inject_lora,
    load_checkpoint,
    merge_lora,
    prepare,
)
from common.wheels import WHEELS, installed

ORACLE = Path(__file__).resolve().parents[2] / "oracles" / "litemedsam"
needs_weights = pytest.mark.skipif(
    not installed("litemedsam"), reason=f"no weights of LiteMedSAM: {WHEELS['litemedsam'].command}"
)


@pytest.fixture(scope="module")
def recorded():
    with np.load(ORACLE / "lite_medsam.npz") as file:
        return {name: torch.from_numpy(value) if value.dtype.kind in "fiu" else value for name, value in file.items()}


def picture(seed):
    """The image of a seed as the recording made it, ``256, 256`` from 0 to 255, and the boxes of three of its blobs."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:256, :256].astype(float)
    image, boxes = 40 + 30 * x / 255 + 20 * y / 255, []
    for _ in range(4):
        (cy, cx), (ry, rx) = rng.uniform(50, 206, 2), rng.uniform(15, 45, 2)
        angle, level = rng.uniform(0, np.pi), rng.uniform(-35, 110)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        r = np.sqrt((u / rx) ** 2 + (v / ry) ** 2)
        image += level / (1 + np.exp(np.clip(12 * (r - 1), -60, 60)))
        rows, columns = np.nonzero(r < 1)
        boxes.append([columns.min() - 3, rows.min() - 3, columns.max() + 3, rows.max() + 3])
    image = (image + rng.normal(0, 6, (256, 256))).round().clip(0, 255).astype(np.uint8)
    return image, torch.tensor(boxes[1:], dtype=torch.float32).clamp(0, 255)


def test_names_and_shapes_are_those_of_the_checkpoint():
    rows = (ORACLE / "state_dict.tsv").read_text(encoding="utf-8").splitlines()[1:]
    published = dict(row.split("\t") for row in rows)
    with torch.device("meta"):
        state = Sam("litemedsam", 256).state_dict()
    ours = {name: "x".join(map(str, value.shape)) or "scalar" for name, value in state.items()}
    assert ours == published


def test_the_documentation_names_the_command_that_installs_the_weights():
    page = Path(__file__).resolve().parents[3] / "docs" / "sam.md"
    assert WHEELS["litemedsam"].command in page.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("number", range(4))
def test_pictures_are_the_recorded_ones(recorded, number):
    image, boxes = picture(int(recorded[f"{number}_seed"]))
    assert hashlib.sha256(image.tobytes()).hexdigest() == str(recorded[f"{number}_image_sha256"])
    assert torch.equal(boxes, recorded[f"{number}_boxes_xyxy"])


@pytest.fixture(scope="module")
def sam():
    return build_sam("litemedsam", 256, checkpoint="litemedsam").eval().requires_grad_(False)


def prepared(recorded, number):
    image = torch.from_numpy(picture(int(recorded[f"{number}_seed"]))[0]).float()
    return prepare(image[None, None], 256, "litemedsam")[0]


@needs_weights
@pytest.mark.parametrize("number", range(4))
def test_embeddings_masks_and_qualities_are_the_published_ones(sam, recorded, number):
    def of(name):
        return recorded[f"{number}_{name}"]

    embedding = sam.encode(prepared(recorded, number))
    torch.testing.assert_close(embedding[0, ::8, ::8, ::8], of("embedding_every8"), atol=5e-6, rtol=0)
    assert embedding.double().norm().item() == pytest.approx(of("embedding_norm").item(), rel=1e-5)
    sparse = embed_boxes(sam, of("boxes_xyxy"))
    logits, quality = decode(sam, embedding, sparse, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(logits[:, 0, ::8, ::8], of("low_res_logits_every8"), atol=2e-4, rtol=0)
    torch.testing.assert_close(quality[:, 0], of("iou"), atol=1e-5, rtol=0)
    norms = logits[:, 0].flatten(1).double().norm(dim=1)
    torch.testing.assert_close(norms, of("low_res_logits_norm").double(), atol=0, rtol=1e-5)
    positive = torch.from_numpy(np.unpackbits(of("positive").numpy())).view(3, 256, 256).bool()
    assert torch.equal(logits[:, 0] > 0, positive)
    torch.testing.assert_close(logits[0, 1:, ::16, ::16], of("multimask_box0_every16"), atol=2e-4, rtol=0)
    torch.testing.assert_close(quality[0, 1:], of("multimask_iou_box0"), atol=1e-5, rtol=0)
    if number == 0:
        torch.testing.assert_close(sparse, of("sparse"), atol=1e-6, rtol=0)
    for box in range(3):
        alone = decode(sam, embedding, sparse[box : box + 1])[0]
        torch.testing.assert_close(alone[0], logits[box], atol=1e-4, rtol=0)


@needs_weights
def test_every_stage_is_the_published_one(sam, recorded):
    seen, layers = {}, sam.image_encoder.layers
    watched = {"patch_embed": sam.image_encoder.patch_embed.seq, "layer3": layers[3].blocks[-1]}
    watched |= {f"layer{stage}_block0": layers[stage].blocks[0] for stage in range(4)}
    watched |= {f"layer{stage}": layers[stage].downsample for stage in range(3)}
    hooks = [
        part.register_forward_hook(lambda _, x, y, name=name: seen.__setitem__(name, y))
        for name, part in watched.items()
    ]
    sam.encode(prepared(recorded, 0))
    for hook in hooks:
        hook.remove()
    compared = [name for name in watched if f"stage_{name}_tokens" in recorded]
    assert len(compared) == 8
    for name in compared:
        tokens = seen[name][0].flatten(1).T
        values, norm = recorded[f"stage_{name}_values"], recorded[f"stage_{name}_norm"].item()
        torch.testing.assert_close(tokens[recorded[f"stage_{name}_tokens"], ::8], values, atol=2e-5, rtol=1e-5)
        assert tokens.double().norm().item() == pytest.approx(norm, rel=1e-5)


@needs_weights
def test_dense_prompts_are_the_published_ones(sam, recorded):
    torch.testing.assert_close(sam.image_pe[0, ::8, ::8, ::8], recorded["dense_pe_every8"], atol=1e-6, rtol=0)
    no_mask = sam.prompt_encoder.no_mask_embed.weight[0]
    torch.testing.assert_close(no_mask, recorded["dense_no_mask"].flatten(), atol=1e-6, rtol=0)


@needs_weights
@pytest.mark.parametrize("size", [128, (160, 192)])
def test_blobs_are_found_at_other_sizes(recorded, size):
    """Bright blobs of a picture by their boxes, at a quarter of the published input and less."""
    image, boxes = picture(int(recorded["0_seed"]))
    sam = build_sam("litemedsam", size, checkpoint="litemedsam").eval()
    refiner = BoxRefiner(sam, 2, "litemedsam", box_pad=0.0)
    x0, y0, x1, y1 = boxes[0].int().tolist()
    label = torch.zeros(1, 256, 256, dtype=torch.long)
    label[0, y0 : y1 + 1, x0 : x1 + 1] = 1
    published = torch.from_numpy(np.unpackbits(recorded["0_positive"].numpy())).view(3, 256, 256)[0].bool()
    with torch.no_grad():
        found = refiner(torch.from_numpy(image).float()[None, None], label).label[0] > 0
    assert 2 * (found & published).sum() / (found.sum() + published.sum()) > 0.9


@needs_weights
def test_everything_of_the_checkpoint_is_used_and_adapted_by_few_parameters(sam, recorded):
    report = load_checkpoint(Sam("litemedsam", 128), "litemedsam")
    assert len(report.matched) == 408 and not (report.resized + report.skipped + report.missing)
    adapted = copy.deepcopy(sam)
    trained = inject_lora(adapted, 4)
    assert sum(p.numel() for p in trained) == 29_696
    x = prepared(recorded, 0)[..., :64, :64]
    assert torch.equal(adapted.encode(x), sam.encode(x))
    for name, parameter in adapted.named_parameters():
        if ".lora_b." in name:
            torch.nn.init.normal_(parameter, std=0.05)
    moved = adapted.encode(x).detach()
    assert (moved - sam.encode(x)).abs().max() > 0.01
    torch.testing.assert_close(merge_lora(adapted).encode(x).detach(), moved, atol=2e-5, rtol=1e-4)


@needs_weights
def test_a_segmenter_starts_from_the_named_weights():
    segmenter = SamSegmenter("litemedsam", 64, 3, "litemedsam", preprocess="litemedsam").eval()
    assert segmenter(torch.rand(1, 1, 40, 64)).shape == (1, 3, 64, 64)
