"""The table of what Dice segmentations can be expected to have, beside them."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, SaveImaged

from ..files import atomic_path, plain_text, read_table, spreadsheet_text
from ..transforms.confidence import ExpectedDiced

TABLE = "expected_dice.csv"
COLUMNS = ("case", "expected", "low", "high", "confidence")


class SaveExpectedDiced(SaveImaged):
    """Enter a case into ``expected_dice.csv`` of a folder, the lowest expectation first, if its network is calibrated.

    Args:
        keys: softmax maps ``K, spatial...``.
        output_dir: the folder.
        checkpoint: weights, or the folder of their run, with ``expected_dice.json`` beside them; without it nothing is
            written.
    """

    def __init__(self, keys: KeysCollection, output_dir: str, checkpoint: str) -> None:
        MapTransform.__init__(self, keys)  # MONAI Label leaves out what is a ``SaveImaged``, and nothing else is used
        self.path, self.expect = Path(output_dir) / TABLE, ExpectedDiced(keys, checkpoint)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = self.expect(data)
        if told := result.pop(self.expect.output, None):
            known = {row["case"]: row for row in read_expected(self.path)}
            known[str(data["case"])] = {"case": str(data["case"]), **{key: round(v, 4) for key, v in told.items()}}
            write_expected(self.path, known)
        return result


def write_expected(path: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in sorted(rows.values(), key=lambda row: (row["expected"], row["case"])):
            writer.writerow({**row, "case": spreadsheet_text(str(row["case"]))})


def read_expected(path: str | Path) -> list[dict]:
    """Rows of such a table, numbers as numbers; none where there is no file.

    Raises:
        InputError: for another kind of table.
    """
    if not Path(path).is_file():
        return []
    rows = read_table(path, f"inference writes a table of {', '.join(COLUMNS)}", COLUMNS[1:])
    return [{**{name: row[name] for name in COLUMNS[1:]}, "case": plain_text(row.get("case", ""))} for row in rows]
