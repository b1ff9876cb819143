import pytest
import torch
from iere import ResNetUNet
from monai.networks.nets import FlexibleUNet

from common.errors import InputError


def small(**options):
    return ResNetUNet(**{"backbone": "resnet18", "base_channels": 4, **options})


def test_full_network_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in ResNetUNet().parameters()) == 32_514_978


def test_topology_is_that_of_monais_flexible_unet():
    own = ResNetUNet(out_channels=3).eval()
    other = FlexibleUNet(1, 3, backbone="resnet50", pretrained=False, pre_conv=None, norm="batch").eval()
    parts = (own.encoder, other.encoder), (own.decoder, other.decoder), (own.head, other.segmentation_head[0])
    for mine, theirs in parts:
        theirs.load_state_dict(mine.state_dict())
    x = torch.randn(1, 1, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(own(x), other(x))


@pytest.mark.parametrize("shape", [(64, 64), (50, 70), (33, 1)])
def test_any_extents_are_padded_at_the_end_and_cropped(shape):
    network = small(in_channels=2, out_channels=3).eval()
    x = torch.randn(2, 2, *shape)
    padded = torch.zeros(2, 2, *(-(-s // 32) * 32 for s in shape))
    padded[..., : shape[0], : shape[1]] = x
    with torch.no_grad():
        torch.testing.assert_close(network(x), network(padded)[..., : shape[0], : shape[1]])


@pytest.mark.parametrize("export", ["script", "trace"])
def test_exports_serve_every_size(export):
    network = small().eval()
    exported = torch.jit.script(network) if export == "script" else torch.jit.trace(network, torch.zeros(1, 1, 32, 32))
    x = torch.randn(2, 1, 40, 70)
    torch.testing.assert_close(exported(x), network(x))


def test_a_second_head_reads_the_same_features():
    network = small(out_channels=4)
    head = network.make_head()
    assert head.weight.shape == network.head.weight.shape and not torch.equal(head.weight, network.head.weight)
    limit = (6 / (9 * (network.width + 4))) ** 0.5
    assert head.weight.abs().max() <= limit and head.bias.abs().sum() == network.head.bias.abs().sum() == 0
    x = torch.randn(2, 1, 40, 70)
    assert network.logits(x, head).shape == (2, 4, 40, 70)
    torch.testing.assert_close(network.eval().logits(x), network(x))
    torch.testing.assert_close(network.logits(x, head), head(network.features(x))[..., :40, :70])


def imagenet(prefix="", **options):
    """State dict of an encoder for RGB, as torchvision saves it."""
    state = small(in_channels=3, **options).encoder.state_dict()
    classifier = {"fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}
    return {prefix + key: value for key, value in {**state, **classifier}.items()}


@pytest.mark.parametrize("prefix", ["", "model.", "module.backbone.", "module.encoder."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_encoder_weights_load_from_others_files(prefix, wrapper, tmp_path):
    state = imagenet(prefix)
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pth")
    network = small(init=str(tmp_path / "w.pth"))
    torch.testing.assert_close(network.encoder.conv1.weight, state[prefix + "conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(network.encoder.layer4[1].conv2.weight, state[prefix + "layer4.1.conv2.weight"])


def test_weights_of_the_whole_network_load(tmp_path):
    source = small()
    torch.save(source.state_dict(), tmp_path / "w.pt")
    loaded = small(init=str(tmp_path / "w.pt"))
    assert all(torch.equal(a, b) for a, b in zip(source.state_dict().values(), loaded.state_dict().values()))


def test_a_file_that_does_not_fit_names_itself(tmp_path):
    path = tmp_path / "w.pth"
    with pytest.raises(InputError, match="no such file"):
        small(init=str(path))
    path.write_bytes(b"PK not a checkpoint")
    with pytest.raises(InputError, match="w.pth: is a text file; expected a file of weights"):
        small(init=str(path))
    torch.save([torch.zeros(1)], path)
    with pytest.raises(InputError, match="expected a state dict"):
        small(init=str(path))
    torch.save(imagenet(backbone="resnet34"), path)
    with pytest.raises(InputError, match=r"w.pth: .* of another network .* unknown to it, the first 'layer1.2"):
        small(init=str(path))
    torch.save({k: v for k, v in imagenet().items() if not k.startswith("layer3")}, path)
    with pytest.raises(InputError, match=r"w.pth: .* another network .* not there, the first 'layer3.0.conv1.weight'"):
        small(init=str(path))
