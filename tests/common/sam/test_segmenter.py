import pytest
import torch

from common.errors import InputError
from common.sam import SamSegmenter, load_trainable, save_trainable


def shaken(segmenter):
    for parameter in segmenter.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter += 0.05 * torch.randn_like(parameter)
    return segmenter


def test_logits_of_all_classes_at_a_quarter(checkpoint):
    segmenter = SamSegmenter("tiny", (64, 96), 3, checkpoint=checkpoint)
    assert segmenter(torch.rand(2, 1, 50, 70)).shape == (2, 3, 16, 24)


@pytest.mark.parametrize("train", ["lora", "decoder", "full"])
def test_every_trained_tensor_and_no_other_gets_a_gradient(checkpoint, train):
    segmenter = shaken(SamSegmenter("tiny", 64, 4, checkpoint=checkpoint, train=train))
    segmenter(torch.rand(2, 1, 64, 64)).square().sum().backward()
    for name, parameter in segmenter.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.grad is None or parameter.grad.abs().sum() > 0 or "k.bias" in name, name
    encoder = [n for n, p in segmenter.named_parameters() if p.requires_grad and "image_encoder" in n]
    assert {"lora": all(".lora_" in n for n in encoder) and encoder, "decoder": not encoder, "full": encoder}[train]


def test_merged_weights_load_without_a_checkpoint(checkpoint):
    segmenter = shaken(SamSegmenter("tiny", 64, 3, checkpoint=checkpoint)).eval()
    deployed = SamSegmenter("tiny", 64, 3, lora_rank=0).eval()
    deployed.load_state_dict(segmenter.merged().state_dict())
    x = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(deployed(x), segmenter(x), atol=1e-5, rtol=1e-5)


def test_trained_tensors_alone_restore_the_output(checkpoint, tmp_path, caplog):
    settings = {"arch": "tiny", "img_size": 64, "lora": {"rank": 4}}
    segmenter = shaken(SamSegmenter("tiny", 64, 3, checkpoint=checkpoint)).eval()
    save_trainable(segmenter, tmp_path / "adapted.pt", settings, checkpoint)
    fresh = SamSegmenter("tiny", 64, 3, checkpoint=checkpoint).eval()
    assert load_trainable(fresh, tmp_path / "adapted.pt", checkpoint) == settings
    x = torch.rand(1, 1, 64, 64)
    assert torch.equal(fresh(x), segmenter(x))
    assert not caplog.records
    trained = sum(4 * p.numel() for p in segmenter.parameters() if p.requires_grad)
    assert trained < (tmp_path / "adapted.pt").stat().st_size < 1.3 * trained
    other = tmp_path / "other.pth"
    torch.save({**torch.load(checkpoint, weights_only=True), "more": torch.ones(1)}, other)
    load_trainable(fresh, tmp_path / "adapted.pt", other)
    assert "was trained on tiny.pth" in caplog.text


def test_files_that_do_not_fit_are_named(checkpoint, tmp_path):
    save_trainable(SamSegmenter("tiny", 64, 3), tmp_path / "three.pt")
    with pytest.raises(InputError, match="three.pt: .*hypernetworks_mlps.2.*no tensor that learns here"):
        load_trainable(SamSegmenter("tiny", 64, 2), tmp_path / "three.pt")
    with pytest.raises(InputError, match="has shape .* expected"):
        load_trainable(SamSegmenter("tiny", 64, 3, lora_rank=2), tmp_path / "three.pt")
    with pytest.raises(InputError, match="tiny.pth: not a file of trained SAM tensors"):
        load_trainable(SamSegmenter("tiny", 64, 3), checkpoint)


def test_a_traced_segmenter_gives_the_same():
    segmenter = SamSegmenter("tiny", 64, 2, lora_rank=0).eval()
    traced = torch.jit.trace(segmenter, torch.rand(1, 1, 64, 64))
    x = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(traced(x), segmenter(x))


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
