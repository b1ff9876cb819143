import pytest
import torch

from common.errors import InputError
from common.sam import Sam, SamSegmenter, build_sam
from common.sam._load import modeling
from common.sam.attention import FusedAttention, relative
from common.sam.testing import tiny_sam


def count(module, trained=False):
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)


@pytest.mark.parametrize(
    ("arch", "encoder", "total"),
    [
        ("vit_b", 89_670_912, 93_735_472),
        ("vit_l", 308_278_272, 312_342_832),
        ("vit_h", 637_026_048, 641_090_608),
    ],
)
def test_published_architectures_have_their_parameters(arch, encoder, total):
    with torch.device("meta"):
        sam = Sam(arch, 1024)
    assert (count(sam.image_encoder), count(sam)) == (encoder, total)
    assert count(sam.prompt_encoder) == 6_220


@pytest.mark.parametrize(
    ("foreground", "decoder", "trained"),
    [(1, 3_777_698, 3_793_312), (2, 3_918_019, 3_933_376), (3, 4_058_340, 4_073_440)],
)
def test_segmenter_trains_what_reaches_its_loss(foreground, decoder, trained):
    with torch.device("meta"):
        segmenter = SamSegmenter("vit_b", 512, foreground + 1)
    assert count(segmenter.sam.mask_decoder) == decoder
    assert count(segmenter, trained=True) == trained


def test_tiny_sam_has_its_sizes():
    assert count(tiny_sam()) == 102_275


def test_encoder_equals_the_package(sam):
    encoder = modeling().ImageEncoderViT(
        img_size=64, embed_dim=32, depth=2, num_heads=2, out_chans=32, use_rel_pos=True, window_size=3,
        global_attn_indexes=(1,), norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
    )  # fmt: skip
    encoder.load_state_dict(sam.image_encoder.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(sam.encode(x), encoder(x), atol=2e-6, rtol=1e-5)


def test_fused_attention_equals_the_sum_over_positions():
    attention = modeling().image_encoder.Attention(8, num_heads=2, use_rel_pos=True, input_size=(3, 4))
    for table in (attention.rel_pos_h, attention.rel_pos_w):
        torch.nn.init.normal_(table)
    x = torch.randn(2, 3, 4, 8)
    torch.testing.assert_close(FusedAttention(attention)(x), attention(x), atol=1e-6, rtol=1e-5)


def test_relative_positions_are_query_minus_key():
    table = torch.arange(-2, 3).view(5, 1)
    assert relative(table, 3)[..., 0].tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]


def test_recomputed_blocks_give_the_same_gradient():
    plain, recomputed = tiny_sam(), build_sam("tiny", 64, recompute=True)
    recomputed.load_state_dict(plain.state_dict())
    x, gradients = torch.randn(1, 3, 64, 64), []
    for sam in (plain, recomputed):
        sam.encode(x).square().sum().backward()
        gradients.append([p.grad for p in sam.image_encoder.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_rectangular_inputs():
    sam = tiny_sam((48, 80))
    assert sam.encode(torch.randn(1, 3, 48, 80)).shape == (1, 32, 3, 5)


@pytest.mark.parametrize("size", [100, (64, 72), 0, 64.0, "64", (64, 64, 64)])
def test_a_size_that_is_no_multiple_of_16_is_an_error(size):
    with pytest.raises(InputError, match="multiple of 16"):
        build_sam("tiny", size)


def test_loading_refreshes_the_position_encoding(sam):
    other = tiny_sam()
    assert not torch.equal(other.image_pe, sam.image_pe)
    other.load_state_dict(sam.state_dict())
    assert torch.equal(other.image_pe, sam.image_pe)
    assert "image_pe" not in sam.state_dict()


def test_half_precision_leaves_the_position_encoding_whole(sam):
    other = tiny_sam()
    with torch.autocast("cpu", torch.bfloat16):
        other.load_state_dict(sam.state_dict())
    assert torch.equal(other.image_pe, sam.image_pe)
