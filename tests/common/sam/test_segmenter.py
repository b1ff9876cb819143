import pytest
import torch

from common.errors import InputError
from common.sam import SamSegmenter


def shaken(segmenter):
    for parameter in segmenter.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter += 0.05 * torch.randn_like(parameter)
    return segmenter


def test_logits_of_all_classes_at_a_quarter(checkpoint):
    segmenter = SamSegmenter("tiny", (64, 96), 3, checkpoint=checkpoint)
    assert segmenter(torch.rand(2, 1, 50, 70)).shape == (2, 3, 16, 24)


@pytest.mark.parametrize("train", ["lora", "lora_only", "decoder", "full"])
def test_every_trained_tensor_and_no_other_gets_a_gradient(checkpoint, train):
    segmenter = shaken(SamSegmenter("tiny", 64, 4, checkpoint=checkpoint, train=train))
    segmenter(torch.rand(2, 1, 64, 64)).square().sum().backward()
    for name, parameter in segmenter.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.grad is None or parameter.grad.abs().sum() > 0 or "k.bias" in name, name
    trained = [n for n, p in segmenter.named_parameters() if p.requires_grad]
    encoder = [n for n in trained if "image_encoder" in n]
    assert bool(encoder) == (train != "decoder") and any(".lora_" in n for n in encoder) == train.startswith("lora")
    assert any("mask_decoder" in n for n in trained) == (train != "lora_only")
    assert any("no_mask_embed" in n for n in trained)


def test_an_adapted_decoder_learns_by_lora_and_outside_its_transformer(checkpoint):
    segmenter = shaken(SamSegmenter("tiny", 64, 3, checkpoint, lora_targets=("q", "v", "decoder")))
    segmenter(torch.rand(2, 1, 64, 64)).square().sum().backward()
    trained = [n for n, p in segmenter.named_parameters() if p.requires_grad]
    assert all(p.grad.abs().sum() > 0 for p in segmenter.parameters() if p.requires_grad)
    assert sum(".transformer." in n for n in trained) == 2 * 14
    assert all(".lora_" in n for n in trained if ".transformer." in n)
    assert any("mask_tokens" in n for n in trained) and any("hypernetworks" in n for n in trained)


def test_merged_weights_load_without_a_checkpoint(checkpoint):
    segmenter = shaken(SamSegmenter("tiny", 64, 3, checkpoint=checkpoint)).eval()
    deployed = SamSegmenter("tiny", 64, 3, lora_rank=0).eval()
    deployed.load_state_dict(segmenter.merged().state_dict())
    x = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(deployed(x), segmenter(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preprocess", ["unit", "medsam"])
def test_an_exported_network_gives_maps_at_the_size_of_any_image(checkpoint, preprocess, exported):
    segmenter = shaken(SamSegmenter("tiny", 64, 3, checkpoint, preprocess=preprocess, full_size=True))
    maps = exported(segmenter.merged().eval(), torch.rand(1, 1, 64, 64))
    for shape in ((1, 64, 64), (2, 40, 56), (3, 100, 31)):
        images = torch.rand(shape[0], 1, *shape[1:])
        logits = maps(images)
        assert logits.shape == (shape[0], 3, *shape[1:])
        torch.testing.assert_close(logits, segmenter(images).detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("preprocess", ["unit", "sam"])
def test_full_size_logits_are_resized_ones(checkpoint, preprocess):
    small, full = (
        SamSegmenter("tiny", 64, 3, checkpoint, "expand", preprocess, full_size=size) for size in (False, True)
    )
    images = torch.rand(2, 1, 48, 96) * (255 if preprocess == "sam" else 1)
    logits = small(images)
    if preprocess == "sam":  # the lower half of the input is padding
        logits = torch.nn.functional.interpolate(logits, size=(64, 64), mode="bilinear")[:, :, :32]
    expected = torch.nn.functional.interpolate(logits, size=(48, 96), mode="bilinear")
    torch.testing.assert_close(full(images), expected)


def test_two_images_are_learnt_by_heart(checkpoint):
    images = torch.zeros(2, 1, 64, 64)
    images[0, :, 16:40, 8:32] = images[1, :, 24:56, 24:60] = 1.0
    labels = (torch.nn.functional.avg_pool2d(images, 4)[:, 0] > 0.5).long()
    segmenter = SamSegmenter("tiny", 64, 2, checkpoint=checkpoint)
    optimizer = torch.optim.AdamW([p for p in segmenter.parameters() if p.requires_grad], 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(segmenter(images), labels)
        loss.backward()
        optimizer.step()
    assert (segmenter(images).argmax(1) == labels).float().mean() > 0.95


def test_a_wrong_range_is_noticed_at_the_first_batch():
    with pytest.raises(InputError, match="expects 0 to 1"):
        SamSegmenter("tiny", 64, 2)(torch.full((1, 1, 64, 64), 200.0))


def test_two_classes_unless_asked_otherwise(checkpoint):
    assert SamSegmenter("tiny", 64, checkpoint=checkpoint)(torch.rand(1, 1, 64, 64)).shape[1] == 2
