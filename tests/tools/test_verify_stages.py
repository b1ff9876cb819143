"""Archives of strangers: sums and sizes first, unpacked within bounds, not run once something is wrong."""

import tempfile
import zipfile
import zlib

import pytest

from common.errors import InputError
from tools.release import archive
from tools.release.checks import Bundle
from tools.verify import verdicts, verify

NAME = "x_segmentation"


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary files go; nothing may be left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def member(name, **changes):
    info = zipfile.ZipInfo(name, archive.WHEN)
    info.external_attr, info.create_system = archive.PERMISSIONS, 3
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def zipped(path, *members, data=b"x"):
    with zipfile.ZipFile(path, "w") as file:
        for info in members:
            file.writestr(info, data)
    return path


def overlapping(path):
    """A central directory that lists the same stored bytes under many names."""
    zipped(path, member("x/a"), data=b"0" * 50_000)
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\x01\x02")
    end = content.rindex(b"PK\x05\x06")
    entry = bytes(content[start:end])
    names = [f"{number:03d}".encode() for number in range(200)]
    entries = [entry.replace(b"\x03\x00", b"\x05\x00", 0)[:28] + (5).to_bytes(2, "little") + entry[30:46] + b"x/" + name
               for name in names]  # fmt: skip
    tail = bytearray(content[end:])
    tail[8:12] = len(names).to_bytes(2, "little") * 2
    tail[12:16] = sum(map(len, entries)).to_bytes(4, "little")
    path.write_bytes(bytes(content[:start]) + b"".join(entries) + bytes(tail))
    return path


@pytest.mark.parametrize(("members", "message"), [
    ([member("x/a", compress_type=zipfile.ZIP_DEFLATED)], "stored as they are"),
    ([member("x/../../evil")], "no name of a file"),
    ([member("/evil/a")], "no name of a file"),
    ([member("x//a")], "no name of a file"),
    ([member("x/./a")], "no name of a file"),
    ([member("x/a\\..\\..\\evil")], "no name of a file"),
    ([member("C:/evil")], "no name of a file"),
    ([member("x/C:evil")], "no name of a file"),
    ([member("x/a\nb")], "no name of a file"),
    ([member("x/\x1b[2Ja")], "no name of a file"),
    ([member(f"x/{'a' * 300}")], "no name of a file"),
    ([member("x/")], "no name of a file"),
    ([member("x/a"), member("y/a")], "one folder inside"),
    ([member("a")], "one folder inside"),
    ([member("x/a"), member("x/a")], "several of one name"),
    ([member("x/A"), member("x/a")], "several of one name"),
    ([member(f"x/{n:05d}") for n in range(5001)], "more than 5000 files"),
    ([member("x/a", external_attr=0o120777 << 16)], "order, times or permissions"),
    ([member("x/a", external_attr=0o104755 << 16)], "order, times or permissions"),
    ([member("x/b"), member("x/a")], "order, times or permissions"),
])  # fmt: skip
def test_members_that_no_release_has(tmp_path, scratch, members, message):
    path = tmp_path / f"{NAME}_v0.1.0.zip"
    zipped(path, *members, data=b"0" * 100_000 if members[0].compress_type else b"x")
    with pytest.raises(InputError, match=message) as caught:
        verify(str(path))
    assert str(path) in str(caught.value)


def test_bombs_are_refused_before_anything_is_unpacked(tmp_path, scratch):
    with pytest.raises(InputError, match="stored as they are"):
        verify(str(overlapping(tmp_path / "overlap.zip")))
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(member("x/a", compress_type=zipfile.ZIP_DEFLATED), b"\0" * 50_000_000)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InputError, match="stored as they are"):
        verify(str(bomb))
    lying = zipped(tmp_path / "lying.zip", member("x/a"))
    content = lying.read_bytes()
    size = (1).to_bytes(4, "little")
    at = content.rindex(size + size)
    lying.write_bytes(content[:at] + (2**32 - 2).to_bytes(4, "little") * 2 + content[at + 8 :])
    with pytest.raises(InputError, match="stored as they are"):
        verify(str(lying))


@pytest.mark.parametrize("spoil", [
    lambda content: content[: len(content) // 2], lambda content: b"", lambda content: content[:-30] + b"\xff" * 30,
    lambda content: content.replace(b"xyzxyz", b"xyzxyy", 1), lambda content: b"MZ" + content[2:-22] + b"\0" * 22,
])  # fmt: skip
def test_damaged_archives_are_one_line(tmp_path, scratch, spoil):
    path = zipped(tmp_path / "d.zip", member("x/a"), member("x/b"), data=b"xyzxyz" * 50)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=r"d\.zip: "):
        verify(str(path))


def small_release(folder, **files):
    """A folder that passes the check of files and sums, and nothing else."""
    from tools.release.checks import RELEASED, REQUIRED

    for name in (*REQUIRED, *RELEASED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}", encoding="utf-8")
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    archive.write_sums(folder)
    return folder


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("content", [
    "[]", "null", "3", '"$open(1)"', "{", "[" * 100_000, '{"version": {"a": 1}}',
    '{"version": "1.0.0", "schema": ["x"]}',
    '{"schema": "../../../../etc/passwd"}', '{"network_data_format": "$x", "required_packages_version": [1]}', "\x00",
])  # fmt: skip
def test_metadata_of_any_kind_are_judged_without_a_traceback_and_nothing_runs(tmp_path, scratch, content, static):
    folder = small_release(tmp_path / NAME, **{"configs/metadata.json": content})
    lines = list(verdicts(Bundle(folder), static))
    found = {name: (verdict, remark) for name, verdict, remark in lines}
    assert found["sums"][0] == "ok" and "FAILED" in {verdict for verdict, _ in found.values()}
    assert lines[-1][:2] == ("runs", "not run")


def test_other_files_of_any_kind_neither(tmp_path, scratch):
    folder = small_release(tmp_path / NAME)
    evil = '{"preprocessing": {"_target_": "x", "a": "@b"}, "b": "@c", "c": "@b", "d": "$open(\'%s\', \'w\')"}'
    contents = [
        evil % (tmp_path / "MARK"),
        '{"preprocessing": {"a": "$open(\'%s\', \'w\')"}}' % (tmp_path / "MARK"),
        "[]",
    ]
    for text in contents:
        for name in ("configs/train.json", "configs/inference.json", "docs/results.json"):
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "evil.py").write_text("(" * 500, encoding="utf-8")
        (folder / "docs" / "README.md").write_text(
            "```bash\npython -m monai.bundle __class__ '\n```\n", encoding="utf-8"
        )
        archive.write_sums(folder)
        assert list(verdicts(Bundle(folder)))[-1][:2] == ("runs", "not run")
    assert not (tmp_path / "MARK").exists()
    (folder / "link").symlink_to("/etc/passwd")
    assert list(verdicts(Bundle(folder)))[0][1:] == ("FAILED", "links are no files of a release: link")


def test_names_of_files_are_printed_without_control_characters(tmp_path, scratch, capsys):
    folder = small_release(tmp_path / NAME)
    (folder / "a\x1b[2J\nsums   ok").write_text("x", encoding="utf-8")
    with pytest.raises(SystemExit):
        verify(str(folder))
    said = capsys.readouterr().out
    assert "\x1b" not in said and not any(line.startswith("sums   ok") for line in said.splitlines())
    assert said.splitlines()[1].startswith("sums") and "FAILED" in said.splitlines()[1]


def test_a_damaged_member_is_found_by_its_own_sum(tmp_path, scratch):
    path = zipped(tmp_path / "c.zip", member("x/a"), data=b"abcdef" * 100)
    content = bytearray(path.read_bytes())
    content[content.index(b"abcdef")] ^= 1
    path.write_bytes(content)
    assert zlib.crc32(b"abcdef" * 100)
    with pytest.raises(InputError, match="x/a is damaged"):
        verify(str(path))
