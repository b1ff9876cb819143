import copy

import pytest
import torch

from common.sam import LoraLinear, decode, embed_boxes, inject_lora, merge_lora


def additions(sam):
    """The tensors of the adaptation by name."""
    return {name: value for name, value in sam.state_dict().items() if ".lora_" in name}


def shaken(sam):
    """The same SAM with an adaptation that does something."""
    for name, parameter in sam.named_parameters():
        if ".lora_b." in name:
            torch.nn.init.normal_(parameter)
    return sam


def test_the_start_is_the_base_bit_by_bit(sam):
    x = torch.randn(2, 3, 64, 64)
    before = sam.encode(x)
    inject_lora(sam, 4)
    assert torch.equal(sam.encode(x), before)


@pytest.mark.parametrize(("targets", "alpha"), [(("q", "v"), None), (("k",), 2.0), (("v", "k", "q"), 8.0)])
def test_additions_go_to_their_thirds(targets, alpha):
    base = torch.nn.Linear(6, 18)
    lora = LoraLinear(base, 2, targets, alpha)
    for b in lora.lora_b.values():
        torch.nn.init.normal_(b)
    x = torch.randn(3, 6)
    difference = (lora(x) - base(x)).view(3, 3, 6)
    scale = 1.0 if alpha is None else alpha / 2
    for third, name in enumerate("qkv"):
        expected = scale * x @ (lora.lora_b[name] @ lora.lora_a[name]).T if name in targets else torch.zeros(3, 6)
        torch.testing.assert_close(difference[:, third], expected, atol=1e-6, rtol=1e-5)


def test_merging_keeps_the_output(sam):
    inject_lora(sam, 4, ("q", "k", "v"), alpha=7)
    x, adapted = torch.randn(2, 3, 64, 64), shaken(sam)
    plain = merge_lora(copy.deepcopy(adapted))
    torch.testing.assert_close(plain.encode(x), adapted.encode(x), atol=1e-5, rtol=1e-5)
    assert not additions(plain)
    assert isinstance(plain.image_encoder.blocks[0].attn.qkv, torch.nn.Linear)


def test_only_the_adaptation_learns(sam):
    trained = inject_lora(sam, 3, blocks=[1])
    sam.encode(torch.randn(1, 3, 64, 64)).square().sum().backward()
    assert len(trained) == 4
    assert all(p.grad is not None for p in trained)
    assert [n for n, p in sam.image_encoder.named_parameters() if p.grad is not None] == [
        f"blocks.1.attn.qkv.lora_{part}.{target}" for part in "ab" for target in "qv"
    ]
    assert sum(v.numel() for v in additions(sam).values()) == 2 * 2 * 3 * 32


def answer(sam, x):
    """Logits of one box on every image, which pass through every layer."""
    return decode(sam, sam.encode(x), embed_boxes(sam, torch.tensor([[4.0, 4, 40, 50]]).expand(len(x), -1)))[0]


@pytest.mark.parametrize(
    ("target", "layers", "size"),
    [
        ("proj", ["attn.proj"] * 2, 2 * 2 * 3 * 32),
        ("mlp", ["mlp.lin1", "mlp.lin2"] * 2, 2 * 2 * 3 * (32 + 128)),
        # two blocks of one self-attention at full width and two halved ones, and a last halved one
        ("decoder", ["q_proj", "v_proj"] * 7, 2 * 3 * (2 * 64 + 5 * 48)),
    ],
)
def test_other_layers_are_adapted_merged_and_the_only_ones_to_learn(sam, target, layers, size):
    x = torch.randn(2, 3, 64, 64)
    sam.requires_grad_(False)
    before = answer(sam, x)
    trained = inject_lora(sam, 3, [target], alpha=1.5)
    names = [name.removesuffix(".lora_a.all") for name in additions(sam) if name.endswith("lora_a.all")]
    assert len(names) == len(layers) and all(name.endswith(layer) for name, layer in zip(names, layers))
    assert sum(p.numel() for p in trained) == size
    with torch.no_grad():
        assert torch.equal(answer(sam, x), before)
    answer(shaken(sam), x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in trained)
    assert {id(p) for p in sam.parameters() if p.grad is not None} == {id(p) for p in trained}
    plain = merge_lora(copy.deepcopy(sam))
    assert not torch.allclose(answer(plain, x), before, atol=1e-3)
    torch.testing.assert_close(answer(plain, x), answer(sam, x), atol=1e-4, rtol=1e-4)


def test_of_an_adapted_decoder_only_the_additions_learn(sam):
    trained = inject_lora(sam.requires_grad_(True), 2, ["decoder"])
    learning = {id(p) for p in sam.mask_decoder.transformer.parameters() if p.requires_grad}
    assert learning == {id(p) for p in trained}


def test_names_tell_the_layer_and_the_third(sam):
    inject_lora(sam, 2)
    names = [name for name in sam.state_dict() if "blocks.0.attn.qkv" in name]
    assert [name.split("qkv.")[1] for name in names] == [
        "base.weight", "base.bias", "lora_a.q", "lora_a.v", "lora_b.q", "lora_b.v",
    ]  # fmt: skip


def test_autocast_computes_in_half_precision_from_whole_parameters(sam):
    inject_lora(sam, 4)
    x = torch.randn(1, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        half = shaken(sam).encode(x)
    assert all(v.dtype == torch.float32 for v in additions(sam).values())
    torch.testing.assert_close(half.float(), sam.encode(x), atol=0.3, rtol=0.1)


def test_mistakes_are_errors():
    with pytest.raises(ValueError, match="targets must be one of"):
        LoraLinear(torch.nn.Linear(2, 6), 2, ("o",))
    with pytest.raises(ValueError, match="rank must be at least 1"):
        LoraLinear(torch.nn.Linear(2, 6), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ("q", "o")}, "lora_targets must be one of"),
        ({"targets": ()}, "nothing to adapt"),
        ({"blocks": [2]}, "blocks must be one of"),
        ({"blocks": []}, "nothing to adapt"),
    ],
)
def test_unknown_layers_are_errors(sam, options, message):
    with pytest.raises(ValueError, match=message):
        inject_lora(sam, 2, **options)
    inject_lora(sam, 2)
    with pytest.raises(ValueError, match="adapted already"):
        inject_lora(sam, 2)
