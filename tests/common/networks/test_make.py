import pytest

from common.errors import InputError
from common.networks import UNet2D, VNet, make_network


def test_the_extents_of_the_patch_choose_the_network():
    assert isinstance(make_network([16, 16, 16], 1, 2, 4), VNet)
    flat = make_network([16, 16], 1, 2, 4, norm="instance")
    assert isinstance(flat, UNet2D) and any("InstanceNorm" in type(layer).__name__ for layer in flat.modules())


@pytest.mark.parametrize(
    ("patch", "options", "words"),
    [
        ([16, 16, 16], {"norm": "group"}, "norm=group: the V-Net has batch norm"),
        ([16, 16], {"pooling": [2, 2]}, r"pooling=\[2, 2\]: only the network for volumes has a choice"),
        ([16], {}, r"patch_size=\[16\]: expected three extents, or two for slices"),
        ("16,16", {}, "patch_size='16,16': expected three extents"),
    ],
)
def test_what_the_network_of_a_patch_has_not_is_refused(patch, options, words):
    with pytest.raises(InputError, match=words):
        make_network(patch, 1, 2, 4, **options)
