import copy

import pytest
import torch

from common.sam import LoraLinear, inject_lora, lora_state_dict, merge_lora


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
    assert not lora_state_dict(plain)
    assert isinstance(plain.image_encoder.blocks[0].attn.qkv, torch.nn.Linear)


def test_only_the_adaptation_learns(sam):
    trained = inject_lora(sam, 3, blocks=[1])
    sam.encode(torch.randn(1, 3, 64, 64)).square().sum().backward()
    assert len(trained) == 4
    assert all(p.grad is not None for p in trained)
    assert [n for n, p in sam.image_encoder.named_parameters() if p.grad is not None] == [
        f"blocks.1.attn.qkv.lora_{part}.{target}" for part in "ab" for target in "qv"
    ]
    assert sum(v.numel() for v in lora_state_dict(sam).values()) == 2 * 2 * 3 * 32


def test_mistakes_are_errors():
    with pytest.raises(ValueError, match="targets must be one of"):
        LoraLinear(torch.nn.Linear(2, 6), 2, ("o",))
    with pytest.raises(ValueError, match="rank must be at least 1"):
        LoraLinear(torch.nn.Linear(2, 6), 0)
