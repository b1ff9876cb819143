import errno
import io
import pickle
import zipfile

import pytest
import torch
from torch import nn

from common.errors import InputError
from common.tensors import digest, fill, plain, read_file, read_tensors, require_tensor_file, write_file

STATE = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.zeros(2)}


class Runs:
    """An object whose unpickling would run code."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code ran')",)


def script(path):
    torch.jit.script(nn.Linear(3, 2)).save(str(path))


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("notes.txt", "hello")


def compressed(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", b"\0" * 10_000_000)


def cut(share):
    def write(path):
        torch.save(STATE, path)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return write


def flipped(path):
    torch.save(STATE, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(6.0).numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)


def saved(content, **options):
    return lambda path: torch.save(content, path, **options)


WRONG = {
    "missing": (lambda path: None, "no such file; for a test"),
    "link to itself": (lambda path: path.symlink_to(path), "cannot be read|no such file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "folder": (lambda path: path.mkdir(), "is a folder; expected a file of weights"),
    "empty": (lambda path: path.touch(), r"is empty \(0 bytes\)"),
    "pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "is a Git LFS pointer, not the weights themselves; fetch them with 'git lfs pull'",
    ),
    "text": (lambda path: path.write_text("weights: none\n"), "is a text file"),
    "page": (lambda path: path.write_text("<!DOCTYPE html>" * 99), "is a text file"),
    "other binary": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n\0\0\0"), "is no PyTorch file"),
    "archive": (archive, "is an archive that PyTorch did not write"),
    "compressed archive": (compressed, "is an archive that PyTorch did not write"),
    "cut at 10 percent": (cut(0.1), "is truncated or damaged"),
    "cut at 90 percent": (cut(0.9), "is truncated or damaged"),
    "one bit": (flipped, "is damaged, the checksum of .*data/0 is wrong"),
    "script": (script, "is a TorchScript archive; expected the state dict"),
    "code": (saved(Runs()), "holds Python objects, which are not read"),
    "code, old format": (saved(Runs(), _use_new_zipfile_serialization=False), "holds Python objects"),
    "plain pickle": (lambda path: path.write_bytes(pickle.dumps(Runs())), "holds Python objects"),
    "network": (saved(nn.Linear(3, 2)), "holds Python objects"),
}
AROUND_ITSELF: dict = {}
AROUND_ITSELF["model"] = AROUND_ITSELF
NO_STATE = {
    "tensor": (torch.zeros(2, 3), r"holds one tensor of shape \(2, 3\)"),
    "empty": ({}, "holds an empty dict"),
    "list": ([torch.zeros(2)], "holds a list"),
    "number": (3, "holds an int"),
    "history": ({"epoch": 3, "loss": 0.5}, "'epoch' is an int"),
    "numbered": ({0: torch.zeros(2)}, "0 is a Tensor, expected a state dict"),
    "nested": ({"encoder": {"weight": torch.zeros(2)}}, "'encoder' is a dict"),
    "empty inside": ({"state_dict": {}}, "holds an empty dict"),
    "sparse": ({"weight": torch.eye(3).to_sparse()}, "'weight' is no plain tensor but sparse"),
    "no values": ({"weight": torch.zeros(2, device="meta")}, "'weight' is no plain tensor"),
    "itself": (AROUND_ITSELF, "'model' is a dict"),
    "complex": ({"weight": torch.zeros(2, dtype=torch.complex64)}, "'weight' is no plain tensor"),
    "state of a run": ({"objective": {"w": torch.zeros(1)}, "optimizers": []}, "is the state of a run, for resume"),
}


@pytest.mark.parametrize(("write", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_file_of_weights_is_named_in_one_line(tmp_path, write, message):
    path = tmp_path / "model.pt"
    write(path)
    with pytest.raises(InputError, match=message) as caught:
        read_file(path, "for a test")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "message"), NO_STATE.values(), ids=NO_STATE)
def test_what_is_no_state_dict_is_named_in_one_line(tmp_path, content, message):
    path = tmp_path / "model.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match=message) as caught:
        read_tensors(path, "for a test")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE},
        {"network": {"state_dict": STATE}},
        {f"module.{key}": value for key, value in STATE.items()},
        {f"_orig_mod.module.{key}": value for key, value in STATE.items()},
        {"state_dict": {f"module.{key}": value for key, value in STATE.items()}},
    ],
)
@pytest.mark.parametrize("new_format", [True, False])
def test_state_dicts_are_taken_out_of_what_training_tools_put_around_them(tmp_path, content, new_format):
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=new_format)
    state = read_tensors(tmp_path / "model.pt", "for a test")
    assert list(state) == list(STATE)
    assert all(torch.equal(state[key], value) for key, value in STATE.items())


def test_a_quick_look_at_a_file_does_not_read_it(tmp_path, monkeypatch):
    torch.save(STATE, tmp_path / "model.pt")
    monkeypatch.setattr(torch, "load", None)
    assert require_tensor_file(tmp_path / "model.pt", "for a test") == tmp_path / "model.pt"


def test_no_flipped_bit_changes_what_is_read(tmp_path):
    path = tmp_path / "state.pt"
    content = {"a": torch.arange(4.0), "n": 3}
    torch.save(content, path)
    sound, seen = path.read_bytes(), {"refused": 0, "same": 0}
    for position in range(len(sound)):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 1 << position % 8]) + sound[position + 1 :])
        try:
            read = read_file(path, "for a test")
        except InputError:
            seen["refused"] += 1
        else:
            assert torch.equal(read["a"], content["a"]) and read["n"] == 3
            seen["same"] += 1
    assert seen["refused"] > 300


def test_a_full_disk_is_an_error_of_the_file_system_that_names_the_file(tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    write_file(STATE, tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()
    monkeypatch.setattr("builtins.open", lambda path, mode="r", **options: Full(path, mode))
    with pytest.raises(OSError, match=r"No space left on device: '.*model\.pt'") as caught:
        write_file(STATE, tmp_path / "model.pt")
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "model.pt").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_plain_tensors_share_what_they_shared_and_nothing_else(tmp_path):
    big = torch.zeros(100, 100).to(memory_format=torch.contiguous_format)
    image = nn.Parameter(torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last))
    state = plain({"a": image, "b": image, "slice": big[:1], "other": torch.zeros(0), "empty": torch.zeros(0)})
    assert state["a"] is state["b"] and type(state["a"]) is torch.Tensor and state["a"].is_contiguous()
    assert torch.equal(state["a"], image) and not state["a"].requires_grad
    assert state["slice"].untyped_storage().nbytes() == 400


def test_a_digest_tells_values_and_not_layouts():
    value = torch.rand(2, 3, 4, 4)
    assert digest(value) == digest(value.to(memory_format=torch.channels_last)) == digest(nn.Parameter(value))
    assert digest(value) != digest(value + 1e-6)
    assert digest(torch.tensor(1.0)) != digest(torch.tensor(2.0))


def test_a_variance_below_0_is_refused_and_changes_nothing():
    module = nn.BatchNorm1d(2)
    state = {**nn.BatchNorm1d(2).state_dict(), "bias": torch.ones(2), "running_var": torch.tensor([1.0, -1e-3])}
    with pytest.raises(InputError, match="f.pt: 'running_var' has values below 0"):
        fill(module, state, "f.pt")
    assert not module.bias.any() and module.running_var.eq(1).all()


def test_a_module_is_filled_whatever_counters_another_version_had():
    norm = nn.BatchNorm1d(2)
    state = {name: torch.full_like(value, 3) for name, value in norm.state_dict().items()}
    fill(norm, {**state, "older.num_batches_tracked": torch.tensor(5)}, "x.pt")
    assert all((value == 3).all() for value in norm.state_dict().values())
    fill(norm, {name: value * 2 for name, value in state.items() if name != "num_batches_tracked"}, "x.pt")
    assert norm.weight.tolist() == [6, 6] and norm.num_batches_tracked == 3


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            nn.Conv2d(1, 5, 3),
            r"has 5 classes, num_classes is 2 \('weight' has shape \(5, 1, 3, 3\), expected \(2, 1, 3, 3\)",
        ),
        (nn.Conv2d(4, 2, 3), "takes 4 channels, in_channels is 1 "),
        (
            nn.Conv2d(4, 5, 3),
            r"'weight' has shape \(5, 4, 3, 3\), the configured network needs \(2, 1, 3, 3\), and 1 more",
        ),
        (nn.Conv2d(1, 2, 5), r"'weight' has shape \(2, 1, 5, 5\), the configured network needs \(2, 1, 3, 3\)$"),
        (nn.Conv3d(1, 2, 3), r"'weight' has shape \(2, 1, 3, 3, 3\), the configured network needs \(2, 1, 3, 3\)$"),
    ],
    ids=["classes", "channels", "both of one layer", "kernel", "dimensions"],
)
def test_other_shapes_are_told_as_classes_and_channels_where_that_is_all(made, message):
    module = nn.Conv2d(1, 2, 3)
    before = module.weight.clone()
    with pytest.raises(InputError, match=message):
        fill(module, made.state_dict(), "x.pt")
    assert torch.equal(module.weight, before)
