"""Beyond the recordings: ours beside slow forms of the published functions, with other seeds, batches, shapes, classes.

The forms are written afresh from the descriptions of these functions, in ``tests/tools/standin.py``, and are called as
``python -m tools parity <method> --peer_repo`` calls the published ones.
"""

from importlib import import_module

import pytest

from tests.tools.standin import FOLDERS, source

PEERS = {
    (method, peer.function): peer
    for method in ("dualnet", "iere", "sgrsnet", "ssnet", "synfoc")
    for peer in import_module(f"{__package__}.{method}.peer").PEERS
    if peer.function.partition(": ")[0] in FOLDERS[method]
}
OTHERWISE = ("networks/", "test_3d_patch", "context_mask", "sampler", "jaccard.py")  # ours, for a GPU, or left out


@pytest.mark.parametrize("seed", [0, 11])
@pytest.mark.parametrize(("method", "function"), [key for key in PEERS if not any(o in key[1] for o in OTHERWISE)])
def test_ours_equals_the_slow_form(method, function, seed):
    file, _, name = function.partition(": ")
    space = {}
    exec(compile(source(method, file), file, "exec"), space)
    rows = PEERS[method, function].worst(space[name], seed)
    assert rows
    assert not [row for row in rows if not row[1] <= row[2]]
