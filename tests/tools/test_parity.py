import json
from importlib import import_module

import pytest

from common.errors import InputError
from tests.oracles.test_oracles import METHODS, TABLES
from tools.parity import certificate, command, tables
from tools.run import BUNDLES

from .standin import write


def recorded(method):
    path = BUNDLES / f"{method}_segmentation" / command.CERTIFICATE
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_command_knows_the_methods_of_the_tests():
    assert tables.known_methods() == sorted(METHODS)
    assert tables.method_of("ssnet_segmentation") == "ssnet"


def test_the_command_prints_what_it_measures(capsys):
    command.parity("sgrsnet")
    text = capsys.readouterr().out
    assert "ortonwang/SGRS-Net @ c99025fbd8d1ae98664c4a39798234eb1d6f1894" in text
    assert "code/utils/losses.py: SoftDiceLoss" in text and "published: loss *" in text
    assert "tests/oracles/sgrsnet/comparisons.py: MixedSamples, lines" in text
    assert "none beyond the tolerance" in text and "MISSED" not in text


@pytest.mark.parametrize("method", METHODS)
def test_the_certificate_of_the_page_is_that_of_the_table(method):
    held, table = recorded(method), TABLES[method]
    assert not certificate.missed(held)
    assert held["missing"] == list(table.missing)
    assert held["repaired"] == [list(repair[:2]) for repair in table.repairs()]
    assert [topic["functions"] for topic in held["topics"]] == [list(t.functions) for t in table.topics.values()]
    assert held["sources"] == {name: [s.repository, s.commit, s.licence] for name, s in table.sources.items()}
    page = (BUNDLES / f"{method}_segmentation" / "docs" / "README.md").read_text(encoding="utf-8")
    assert certificate.as_markdown(held) in page


@pytest.mark.parametrize("method", METHODS)
def test_every_function_is_called_or_says_why_not(method):
    peer = import_module(f"tests.oracles.{method}.peer")
    called = {p.function for p in peer.PEERS}
    assert set(TABLES[method].functions()) <= called | set(peer.ABSENT)
    assert not called & set(peer.ABSENT)


def test_a_difference_is_missed():
    held = recorded("sgrsnet")
    held["topics"][0]["rows"][0][1] = float("nan")
    assert len(certificate.missed(held)) == 1
    held["repaired"] = [[*repair, "1-2"] for repair in held["repaired"]]
    assert certificate.as_text(held).count("MISSED") == 1


def test_mistakes_are_named(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="meanteacher: nothing is recorded of its published code; there are"):
        command.parity("meanteacher")
    with pytest.raises(InputError, match="no such folder; expected a clone of the published repository"):
        command.parity("ssnet", peer_repo=str(tmp_path / "none"))
    monkeypatch.setattr(tables, "RECORDINGS", tmp_path / "oracles")
    with pytest.raises(InputError, match="not here; parity needs a clone of the repository"):
        command.parity("ssnet")


def test_functions_of_a_folder_run_beside_ours(tmp_path, capsys):
    """A folder in the layout of the published repository, of own functions: no published code is at hand."""
    command.parity("ssnet", peer_repo=write(tmp_path, "ssnet"), seed=3)
    text = capsys.readouterr().out
    assert "no git history, its commit is not known; recorded at c0a8bf6" in text and "MISSED" not in text
    assert "11 of 11 functions ran, seed 3." in text
    assert "- code/train_ss_3d.py: train: a script that reads data; recorded" in text


def test_what_a_folder_lacks_and_what_it_computes_otherwise_is_said(tmp_path, capsys):
    folder = write(tmp_path, "iere", {"OFFSET = 0": "OFFSET = 1"})
    with pytest.raises(InputError, match="iere: 1 comparisons with .* are beyond their tolerance"):
        command.parity("iere", peer_repo=folder)
    text = capsys.readouterr().out
    assert text.count("MISSED") == 1
    assert "not run: requirement missing: Python module a_module_that_nobody_has" in text
    assert "segmentation_models_pytorch/losses/jaccard.py has no JaccardLoss" in text
    assert "3 of 5 functions ran, seed 0." in text
