import json

import pytest

from tests.programs import run_program

PROGRAM = "studies.robustness_comparison"
CSV = """perturbation,severity,id,psnr,ssim,dice_mean
none,0,a,{},0.5,
exposure,0.25,a,20,0.5,
exposure,0.5,a,20,0.5,
exposure,0.75,a,20,0.5,
exposure,1,a,20,0.5,
"""


def write_results(folder, psnr, **origin):
    folder.mkdir()
    (folder / "robustness.csv").write_text(CSV.format(psnr), encoding="utf-8")
    common = {"n": 1, "seed": 0, "data_hash": "d" * 64, "split": "validation"}
    common |= {"folds": [0], "steps": [4]}
    (folder / "robustness.json").write_text(json.dumps(common | origin), encoding="utf-8")
    return str(folder)


def arguments(folders, output):
    return [f"--results={','.join(folders)}", f"--output={output}", "--perturbations=exposure"]


def test_two_runs_side_by_side(tmp_path):
    folders = [write_results(tmp_path / name, psnr) for name, psnr in (("old", 25), ("new", 24.5))]
    output = tmp_path / "results"
    assert run_program(PROGRAM, *arguments(folders, output)).returncode == 0
    text = (output / "robustness_comparison.md").read_text(encoding="utf-8")
    assert "|  | severity | old | new |" in text and "25.00 | 24.50" in text
    record = json.loads((output / "robustness_comparison.json").read_text(encoding="utf-8"))
    assert record["split"] == "validation" and record["steps"] == {"old": [4], "new": [4]}


def test_results_of_before_there_were_several_folds(tmp_path):
    folders = [write_results(tmp_path / "new", 25), write_results(tmp_path / "old", 24)]
    path = tmp_path / "old" / "robustness.json"
    earlier = json.loads(path.read_text(encoding="utf-8"))
    del earlier["folds"], earlier["steps"]
    path.write_text(json.dumps(earlier | {"fold": 0, "step": 3}), encoding="utf-8")
    output = tmp_path / "results"
    assert run_program(PROGRAM, *arguments(folders, output)).returncode == 0
    record = json.loads((output / "robustness_comparison.json").read_text(encoding="utf-8"))
    assert record["folds"] == [0] and record["steps"] == {"new": [4], "old": [3]}


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"split": "test"}, "other has split test, and one validation; compare runs on the same"),
        ({"data_hash": "e" * 64}, "other has data_hash"),
        ({"folds": [0, 1]}, "other has folds [0, 1], and one [0]"),
    ],
)
def test_results_of_other_patients_are_refused(tmp_path, origin, message):
    folders = [write_results(tmp_path / "one", 25), write_results(tmp_path / "other", 25, **origin)]
    refused = run_program(PROGRAM, *arguments(folders, tmp_path / "results"))
    assert refused.returncode == 2 and message in refused.stderr
    assert not (tmp_path / "results").exists()
