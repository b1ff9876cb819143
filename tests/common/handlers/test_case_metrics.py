import csv
import json

import pytest
import torch
from ignite.engine import Engine

from common.errors import InputError
from common.handlers import CaseMetrics
from common.metrics import Calibration


def one_hot(indices, classes=3):
    return torch.nn.functional.one_hot(torch.tensor(indices), classes).movedim(-1, 0).float()


PRED = {"a": [[1, 1, 0], [2, 0, 0]], "b": [[0, 0, 0], [2, 2, 0]]}
LABEL = {"a": [[1, 0, 0], [2, 0, 0]], "b": [[1, 0, 0], [2, 0, 0]]}


def evaluate(folder, encode=one_hot, per_batch=1, runs=1, **options):
    """An evaluator over the cases above, decollated as MONAI's."""
    cases = [{"case": name} for name in PRED]
    batches = [cases[i : i + per_batch] for i in range(0, len(cases), per_batch)]
    engine = Engine(lambda engine, batch: [
        {"pred": encode(PRED[c["case"]]), "label": encode(LABEL[c["case"]])} for c in batch
    ])  # fmt: skip
    CaseMetrics(folder, classes=3, **options).attach(engine)
    for _ in range(runs):
        engine.run(batches)


def rows(folder):
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def summary(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("per_batch", [1, 2])
def test_file_holds_a_row_per_case_and_class(tmp_path, per_batch):
    evaluate(tmp_path, per_batch=per_batch)
    assert list(rows(tmp_path)[0]) == ["case", "class", "dice", "jaccard", "hd95", "asd", "empty"]
    table = [(r["case"], r["class"], pytest.approx(float(r["dice"])), float(r["empty"])) for r in rows(tmp_path)]
    assert table == [("a", "1", 2 / 3, 0), ("a", "2", 1, 0), ("b", "1", 0, 1), ("b", "2", 2 / 3, 0)]


def test_summary_averages_and_says_how_it_was_measured(tmp_path):
    evaluate(tmp_path, notes={"dataset": "toy", "seed": 3})
    content = summary(tmp_path)
    assert content["mean"]["dice"] == pytest.approx(((2 / 3 + 0) / 2 + (1 + 2 / 3) / 2) / 2)
    assert content["classes"]["1"]["jaccard"] == pytest.approx((1 / 2 + 0) / 2)
    assert (content["cases"], content["empty"]) == (2, 1)
    assert (content["unit"], content["empty_policy"]) == ("voxel", "official")
    assert (content["dataset"], content["seed"]) == ("toy", 3)


def test_label_maps_and_one_hot_maps_measure_the_same(tmp_path):
    evaluate(tmp_path / "hot")
    evaluate(tmp_path / "map", encode=lambda indices: torch.tensor([indices]))
    assert rows(tmp_path / "hot") == rows(tmp_path / "map")


def test_spacing_measures_distances_in_millimetres(tmp_path):
    evaluate(tmp_path / "voxel", empty_policy="nan")
    evaluate(tmp_path / "mm", empty_policy="nan", spacing=(2.0, 2.0))
    assert summary(tmp_path / "mm")["unit"] == "mm"
    assert summary(tmp_path / "voxel")["mean"]["hd95"] > 0
    assert summary(tmp_path / "mm")["mean"]["hd95"] == pytest.approx(2 * summary(tmp_path / "voxel")["mean"]["hd95"])


def test_empty_policy_is_passed_on(tmp_path):
    evaluate(tmp_path, empty_policy="penalised")
    assert float(rows(tmp_path)[2]["hd95"]) == pytest.approx((2**2 + 3**2) ** 0.5)
    assert summary(tmp_path)["empty_policy"] == "penalised"


def test_a_second_run_starts_over(tmp_path):
    evaluate(tmp_path, runs=2)
    assert len(rows(tmp_path)) == 4
    assert summary(tmp_path)["cases"] == 2


def test_result_is_logged_in_one_line(tmp_path, caplog):
    caplog.set_level("INFO", logger="CaseMetrics")
    evaluate(tmp_path)
    (message,) = [record.message for record in caplog.records if record.name == "CaseMetrics"]
    assert message.startswith("2 cases: Dice 58.33 %")
    assert "1 empty predictions" in message


def evaluate_slices(folder, cases, **options):
    engine = Engine(lambda engine, batch: [{"pred": c["pred"], "label": c["label"]} for c in batch])
    CaseMetrics(folder, classes=2, **options).attach(engine)
    engine.run([[case] for case in cases])


def case(name, domain, patient, pred, label):
    return {
        "case": name, "domain": domain, "patient": patient, "pred": torch.tensor([[pred]]),
        "label": torch.tensor([[label]]),
    }  # fmt: skip


SLICES = [
    case("1", "A", "p", [1, 1, 0], [1, 0, 0]),
    case("2", "A", "p", [0, 0, 0], [0, 1, 1]),
    case("3", "B", "p", [0, 1, 0], [0, 1, 0]),
]


def test_domains_are_summarized(tmp_path):
    evaluate_slices(tmp_path, SLICES, labeled=[{"domain": "A"}])
    content = summary(tmp_path)
    assert [row["domain"] for row in rows(tmp_path)] == ["A", "A", "B"]
    assert content["domains"]["A"]["mean"]["dice"] == pytest.approx(1 / 3)
    assert content["domain_mean"]["dice"] == pytest.approx((1 / 3 + 1) / 2)
    assert (content["in_domain"]["dice"], content["out_of_domain"]["dice"]) == (pytest.approx(1 / 3), 1)


def test_slices_of_a_patient_make_a_volume(tmp_path):
    evaluate_slices(tmp_path, SLICES, stacked=True)
    table = [(r["case"], r["domain"], pytest.approx(float(r["dice"]))) for r in rows(tmp_path)]
    assert table == [("p", "A", 2 / 5), ("p", "B", 1)]


def test_slices_of_different_sizes_make_no_volume(tmp_path):
    with pytest.raises(InputError, match="patient p: slices of different sizes"):
        evaluate_slices(tmp_path, [SLICES[0], case("2", "A", "p", [0, 0], [0, 0])], stacked=True)
    assert list(tmp_path.iterdir()) == []


def test_slices_are_stacked_along_the_last_axis(tmp_path):
    """Slices 5 mm apart, pixels of 1 and 2 mm: a voxel one slice off is 5 mm away, whatever the others are."""
    empty, voxel = [[0, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 0, 0]]
    shown = [(voxel, empty), (empty, voxel), (empty, empty)]
    cases = [
        {"case": str(n), "patient": "p", "pred": torch.tensor([pred]), "label": torch.tensor([label])}
        for n, (pred, label) in enumerate(shown)
    ]
    evaluate_slices(tmp_path, cases, stacked=True, spacing=(1.0, 2.0, 5.0))
    (row,) = rows(tmp_path)
    assert (float(row["dice"]), float(row["hd95"]), float(row["asd"])) == (0, 5, 5)


def test_confidence_has_a_column_and_intervals_are_judged(tmp_path):
    """Case a promises 0.9 and has a Dice of 0.83, inside its interval; case b promises 0.8 and has 0.33, outside."""
    sums = {"a": [[9, 10, 10], [9, 10, 10]], "b": [[7, 10, 10], [9, 10, 10]]}
    maps = {
        case: {"pred": one_hot(PRED[case]), "label": one_hot(LABEL[case]), "confidence": torch.tensor(sums[case])}
        for case in PRED
    }
    engine = Engine(lambda engine, batch: [maps[c["case"]] for c in batch])
    Calibration(slope=1.0, offset=-0.05, reach=0.5, level=0.9, cases=8, units=8).write(tmp_path / "run")
    CaseMetrics(tmp_path, classes=3, checkpoint=tmp_path / "run" / "model.pt").attach(engine)
    engine.run([[{"case": name}] for name in PRED])
    assert [float(row["confidence"]) for row in rows(tmp_path)] == pytest.approx([0.9, 0.9, 0.7, 0.9])
    told = summary(tmp_path)["expected"]
    assert (told["level"], told["cases"], told["held"]) == (0.9, 2, 1)
    assert told["half_width"] == pytest.approx((0.5 * (0.05 + 0.15) + 0.5 * (0.05 + 0.25)) / 2)
    assert told["error"] == pytest.approx((0.85 - 5 / 6 + 0.75 - 1 / 3) / 2)


def test_confidence_of_slices_is_that_of_their_volume(tmp_path):
    sums = [[[9, 10, 10], [0, 0, 0]], [[1, 2, 4], [3, 3, 3]]]
    outputs = [{"pred": one_hot(PRED["a"]), "label": one_hot(LABEL["a"]), "confidence": torch.tensor(s)} for s in sums]
    engine = Engine(lambda engine, batch: [outputs[batch[0]["number"]]])
    CaseMetrics(tmp_path, classes=3, stacked=True).attach(engine)
    engine.run([[{"case": f"s{k}", "patient": "p", "number": k}] for k in (0, 1)])
    assert [float(row["confidence"]) for row in rows(tmp_path)] == pytest.approx([2 * 10 / 26, 1])
    assert "expected" not in summary(tmp_path)
