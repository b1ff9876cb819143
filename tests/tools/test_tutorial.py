"""The tutorial runs from top to bottom: its Python in one session, its commands as they stand."""

import re
import shlex
from pathlib import Path

from tools.__main__ import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"```(python|bash)\n(.*?)```", re.DOTALL)
ONLY_READ = "-m tools serve"  # builds an environment; test_docs checks its options, tests/tools/label what it does


def test_every_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, ran = {}, []
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(text, str(PAGE), "exec"), names)  # of a page of this repository
        for line in text.splitlines() if kind == "bash" else ():
            if ONLY_READ not in line:
                main(shlex.split(line)[3:])
                ran.append(line)
    assert len(ran) == 5 and names["loss"].isfinite() and names["both"]["dice"] > 0.1
    assert (tmp_path / "predictions_again" / "scores.json").is_file()
