import json

import pytest
import torch
from synfoc.adaptation import load_segmenter, save_segmenter

from common.errors import InputError
from common.sam import SamSegmenter
from common.sam.testing import write_tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny SAM of 128 pixels, as a file."""
    torch.manual_seed(1)
    return write_tiny_checkpoint(tmp_path_factory.mktemp("sam") / "tiny.pth", 128)


def shaken(segmenter):
    for parameter in segmenter.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter += 0.05 * torch.randn_like(parameter)
    return segmenter.eval()


@pytest.mark.parametrize(
    "options",
    [{}, {"lora_targets": ("k", "proj", "decoder"), "train": "lora_only", "full_size": True}, {"train": "full"}],
)
def test_what_was_trained_restores_the_output_with_its_base(checkpoint, tmp_path, caplog, options):
    segmenter = shaken(SamSegmenter("tiny", (64, 96), 3, checkpoint, **options))
    path, x = tmp_path / "adapted.pt", torch.rand(1, 1, 64, 96)
    save_segmenter(segmenter, path, checkpoint)
    loaded = load_segmenter(path, checkpoint)
    assert torch.equal(loaded(x), segmenter(x))
    assert loaded.settings == segmenter.settings and "was trained on" not in caplog.text
    other = tmp_path / "other.pth"
    torch.save({**torch.load(checkpoint, weights_only=True), "more": torch.ones(1)}, other)
    load_segmenter(path, other)
    assert "was trained on tiny.pth" in caplog.text
    with pytest.raises(InputError, match=r"adapted.pt: .* needs its base checkpoint tiny.pth"):
        load_segmenter(path)


def test_an_adaptation_of_late_blocks_of_a_tiny_vit_is_restored(tmp_path):
    base = write_tiny_checkpoint(tmp_path / "tiny_t.pth", 64, "tiny_t")
    options = {"preprocess": "litemedsam", "last_blocks": 2}
    segmenter = shaken(SamSegmenter("tiny_t", (32, 48), 3, base, **options))
    x = torch.rand(1, 1, 32, 48)
    save_segmenter(segmenter, tmp_path / "adapted.pt", base)
    assert torch.equal(load_segmenter(tmp_path / "adapted.pt", base)(x), segmenter(x))
    save_segmenter(segmenter, tmp_path / "merged.pt")
    torch.testing.assert_close(load_segmenter(tmp_path / "merged.pt")(x), segmenter(x), atol=2e-5, rtol=1e-4)


def test_the_file_of_an_adaptation_is_small(checkpoint, tmp_path):
    segmenter = SamSegmenter("tiny", 64, 3, checkpoint)
    save_segmenter(segmenter, tmp_path / "adapted.pt", checkpoint)
    tensors = torch.load(tmp_path / "adapted.pt", weights_only=True)["tensors"]
    assert {name.split(".")[1] for name in tensors} == {"image_encoder", "prompt_encoder", "mask_decoder"}
    assert all("lora" in name for name in tensors if "image_encoder" in name)
    assert [name for name in tensors if "prompt_encoder" in name] == ["sam.prompt_encoder.no_mask_embed.weight"]
    size = 4 * sum(p.numel() for p in [*segmenter.sam.mask_decoder.parameters()]) + 4 * (32 + 2 * 2 * 2 * 4 * 32)
    assert size == 4 * sum(tensor.numel() for tensor in tensors.values())
    assert size < (tmp_path / "adapted.pt").stat().st_size < 1.4 * size


def test_a_merged_file_needs_no_other(checkpoint, tmp_path):
    segmenter = shaken(SamSegmenter("tiny", 64, 3, checkpoint, preprocess="medsam", full_size=True))
    save_segmenter(segmenter, tmp_path / "merged.pt")
    loaded = load_segmenter(tmp_path / "merged.pt")
    x = torch.randn(2, 1, 50, 70)
    torch.testing.assert_close(loaded(x), segmenter(x), atol=1e-4, rtol=1e-4)
    assert loaded.settings == {**segmenter.settings, "lora_rank": 0}
    assert not any("lora" in name for name in loaded.state_dict())
    assert segmenter.settings["lora_rank"] == 4


def test_files_that_do_not_fit_are_named(checkpoint, tmp_path):
    path = tmp_path / "three.pt"
    save_segmenter(SamSegmenter("tiny", 64, 3), path)
    content = torch.load(path, weights_only=True)

    def fails(message, tensors=(), **about):
        changed = {**json.loads(content["about"]), **about}
        torch.save({"about": json.dumps(changed), "tensors": {**content["tensors"], **dict(tensors)}}, path)
        with pytest.raises(InputError, match=message) as caught:
            load_segmenter(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    name = "sam.mask_decoder.mask_tokens.weight"
    fails("more is unknown to the segmenter", {"more": torch.ones(1)})
    fails(f"{name} has shape .* expected", {name: torch.ones(2, 32)})
    fails("format_version 1, this version reads 2", format_version=1)
    del content["tensors"][name]
    fails(f"{name} is not in the file")
    for damaged in (checkpoint.read_bytes(), b"hello", path.read_bytes()[:1000]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="three.pt: not a file of a SAM segmenter"):
            load_segmenter(path)
    with pytest.raises(InputError, match="none.pt: no such file"):
        load_segmenter(tmp_path / "none.pt")
