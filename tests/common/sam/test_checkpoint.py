import pytest
import torch
from torch.nn import functional as F

from common.errors import InputError
from common.sam import build_sam, load_checkpoint, read_checkpoint
from common.sam.testing import tiny_sam, write_tiny_checkpoint


def test_positions_are_interpolated_to_the_input_size(checkpoint):
    source, sam = read_checkpoint(checkpoint), tiny_sam(64)
    report = load_checkpoint(sam, checkpoint)
    table = source["image_encoder.pos_embed"]
    expected = F.interpolate(table.permute(0, 3, 1, 2), size=(4, 4), mode="bilinear").permute(0, 2, 3, 1)
    assert torch.equal(sam.image_encoder.pos_embed, expected)
    blocks = "image_encoder.blocks"
    assert report.resized == ["image_encoder.pos_embed", f"{blocks}.1.attn.rel_pos_h", f"{blocks}.1.attn.rel_pos_w"]
    assert torch.equal(sam.image_encoder.blocks[0].attn.rel_pos_h, source[f"{blocks}.0.attn.rel_pos_h"])
    old, new = source[f"{blocks}.1.attn.rel_pos_h"], sam.image_encoder.blocks[1].attn.rel_pos_h
    two_dimensional = F.interpolate(old[None, None], size=new.shape, mode="bilinear")[0, 0]
    torch.testing.assert_close(new, two_dimensional)
    assert not report.missing and not report.skipped


def test_a_resized_encoder_sees_a_shrunken_image_alike(checkpoint):
    """Positions of a coarser grid are those of the finer one between its tokens: a constant stays where it was."""
    sam = tiny_sam(128)
    torch.nn.init.constant_(sam.image_encoder.pos_embed, 0.3)
    torch.save(sam.state_dict(), checkpoint.parent / "constant.pth")
    small = build_sam("tiny", (32, 96), checkpoint=checkpoint.parent / "constant.pth")
    torch.testing.assert_close(small.image_encoder.pos_embed, torch.full((1, 2, 6, 32), 0.3))


@pytest.mark.parametrize(
    "wrap", [lambda t: {"model": t, "epoch": 3}, lambda t: {f"module.{k}": v for k, v in t.items()}]
)
def test_training_checkpoints_are_unwrapped(checkpoint, tmp_path, wrap):
    torch.save(wrap(torch.load(checkpoint, weights_only=True)), tmp_path / "wrapped.pth")
    report = load_checkpoint(tiny_sam(128), tmp_path / "wrapped.pth")
    assert not report.missing and not report.resized


def test_match_shapes_copies_all_of_the_decoder_but_the_tokens(checkpoint):
    sam, source = tiny_sam(128, num_multimask_outputs=1), read_checkpoint(checkpoint)
    report = load_checkpoint(sam, checkpoint, "match_shapes")
    assert report.missing == [
        "mask_decoder.mask_tokens.weight",
        "mask_decoder.iou_prediction_head.layers.2.weight",
        "mask_decoder.iou_prediction_head.layers.2.bias",
    ]
    assert [n for n in report.skipped if "hypernetworks_mlps.2" in n or "hypernetworks_mlps.3" in n]
    name = "mask_decoder.output_hypernetworks_mlps.1.layers.0.weight"
    assert torch.equal(sam.state_dict()[name], source[name])


def test_what_became_of_a_checkpoint_is_logged(checkpoint, caplog):
    with caplog.at_level("INFO"):
        build_sam("tiny", 64, 1, checkpoint)
    assert "tiny.pth: " in caplog.text and "3 resized" in caplog.text
    assert "3 missing; random start: mask_decoder.mask_tokens.weight, mask_decoder.iou" in caplog.text


def test_reinit_leaves_the_decoder_alone(checkpoint):
    sam = tiny_sam(128)
    before = {name: value.clone() for name, value in sam.mask_decoder.state_dict().items()}
    load_checkpoint(sam, checkpoint, "reinit")
    for name, value in sam.mask_decoder.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("foreground", [1, 3, 5])
def test_expand_starts_every_token_from_a_pretrained_one(checkpoint, foreground):
    sam, source = tiny_sam(128, foreground), read_checkpoint(checkpoint)
    report = load_checkpoint(sam, checkpoint, "expand")
    named = "mask_decoder.mask_tokens.weight" in report.expanded
    assert not report.missing and named == (foreground != 3)
    tokens, pretrained = sam.mask_decoder.mask_tokens.weight, source["mask_decoder.mask_tokens.weight"]
    for token in range(foreground + 1):
        close = pretrained[min(token, 3)]
        assert torch.equal(tokens[token], close) == (token <= 3)
        assert (tokens[token] - close).abs().max() < 0.1 * pretrained.std()


def test_heads_of_another_width_are_not_expanded(checkpoint, tmp_path):
    source = read_checkpoint(checkpoint)
    narrow = {name: value[:-1] if "output_hypernetworks_mlps.1.layers.2" in name else value
              for name, value in source.items()}  # fmt: skip
    torch.save(narrow, tmp_path / "narrow.pth")
    report = load_checkpoint(tiny_sam(128, 3), tmp_path / "narrow.pth", "expand")
    names = sorted(name for name in report.missing)
    assert names == [f"mask_decoder.output_hypernetworks_mlps.1.layers.2.{part}" for part in ("bias", "weight")]


def test_a_real_checkpoint_of_full_size():
    import os

    path = os.environ.get("SSL_SEG_SAM")
    if not path:
        pytest.skip("SSL_SEG_SAM names no checkpoint of vit_b")
    report = load_checkpoint(build_sam("vit_b", 512), path)
    assert len(report.resized) == 9 and not report.missing


def test_wrong_files_are_named(checkpoint, tmp_path):
    def fails(name, message, sam=None):
        with pytest.raises(InputError, match=message) as caught:
            load_checkpoint(sam or tiny_sam(), tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)

    fails("none.pth", "no such file")
    content = checkpoint.read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    fails("cut.pth", "truncated")
    state = read_checkpoint(checkpoint)
    state["image_encoder.neck.0.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    fails("nan.pth", "'image_encoder.neck.0.weight' has NaN")
    (tmp_path / "text.pth").write_text("hello", encoding="utf-8")
    fails("text.pth", "is a text file")
    network = torch.nn.Linear(2, 2)
    torch.save({"model": {}, "optimizer": torch.optim.SGD(network.parameters(), 0.1)}, tmp_path / "med2d.pth")
    fails("med2d.pth", "holds Python objects")
    tensors = torch.load(checkpoint, weights_only=True)
    torch.save({**tensors, "image_encoder.blocks.0.Adapter.weight": torch.ones(1)}, tmp_path / "adapter.pth")
    fails("adapter.pth", "adapter layers")
    torch.save({"conv.weight": torch.ones(1)}, tmp_path / "other.pth")
    fails("other.pth", "has no key image_encoder.pos_embed or ")
    write_tiny_checkpoint(tmp_path / "tiny.pth", 64)
    fails(
        "tiny.pth", "does not fit the architecture small: .*; these are weights of arch=tiny$", build_sam("small", 64)
    )
    torch.save([1, 2], tmp_path / "list.pth")
    fails("list.pth", "expected a state dict")
