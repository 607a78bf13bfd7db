"""The experiment log of a folder of runs."""

import json

import pytest

from tests.programs import run_program
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.experiment_log import log_grid, read_log
from xctrs_tf.training.config import TrainingConfig


def write_run(path, history, **fields):
    path.mkdir(parents=True)
    config = TrainingConfig(data=f"/far/away/{path.name}-data", steps=40, **fields)
    record = {"training": config.to_json(), "data_sha256": "0" * 64}
    (path / "config.json").write_text(json.dumps(record), encoding="utf-8")
    lines = "".join(json.dumps(row) + "\n" for row in history)
    (path / "history.jsonl").write_text(lines, encoding="utf-8")


@pytest.fixture
def runs(tmp_path):
    validation = {"kind": "validation", "psnr": 21.0}
    write_run(
        tmp_path / "films" / "a",
        [
            {"step": 20, "kind": "training", "loss": 2.0, "seconds": 90.0},
            {**validation, "step": 20, "loss": 0.5, "psnr": 22.5, "dice_hard": 0.801},
            {"step": 40, "kind": "training", "loss": 1.0, "seconds": 270.0},
            {**validation, "step": 40, "loss": 0.6},
        ],
        augment="mirror",
    )
    write_run(tmp_path / "b", [], augment="films", freeze="segmentation")
    return tmp_path


def test_a_line_has_the_best_validation_and_the_time(runs):
    grid = log_grid(read_log(runs))
    # 40 steps of 180 seconds each, by the mean of those recorded.
    assert grid.lines[1] == ["films/a", "40 of 40", "2.0", "20", "0.5", "22.50", "80.10"]
    assert grid.lines[0] == ["b", "0 of 40", "0.0", "–", "–", "–", "–"]


def test_runs_that_links_name_have_a_line_each_once(runs, tmp_path):
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    (chosen / "a").symlink_to(runs / "films" / "a")
    (chosen / "above").symlink_to(runs)
    assert [line[0] for line in log_grid(read_log(chosen)).lines] == ["a", "above/b"]
    assert len(read_log(runs)) == 2


def test_labels_that_a_network_made_are_told(runs):
    path = runs / "films" / "a" / "config.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    sources = [{"source": "s", "labels": "model-made by NET"}]
    path.write_text(json.dumps({**record, "folders": [{"sources": sources}]}), encoding="utf-8")
    grid = log_grid(read_log(runs))
    assert grid.lines[1][-1] == "80.10, model-made labels"
    assert grid.notes[2].endswith("--augment=mirror; labels model-made by NET")
    assert "model-made" not in grid.notes[1]


def test_the_name_of_the_overlap_is_told(runs, tmp_path):
    assert log_grid(read_log(runs)).headings[-1] == "Dice (%)"
    evaluation = runs / "films" / "a" / "evaluation"
    evaluation.mkdir()
    told = json.dumps({"dice_name": "pseudo-label Dice"})
    (evaluation / "cases.json").write_text(told, encoding="utf-8")
    # Of the other run it is not known.
    grid = log_grid(read_log(runs))
    assert (grid.headings[-1], grid.lines[1][-1]) == ("pseudo-label Dice (%)", "80.10")
    data = tmp_path / "data"
    data.mkdir()
    told = json.dumps({"label_name": "Dice of another kind"})
    (data / "manifest.json").write_text(told, encoding="utf-8")
    path = runs / "b" / "config.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["training"]["data"] = str(data)
    path.write_text(json.dumps(record), encoding="utf-8")
    grid = log_grid(read_log(runs))
    assert (grid.headings[-1], grid.lines[1][-1]) == ("Dice (%)", "80.10, pseudo-label Dice")
    told = json.dumps({"label_name": "pseudo-label Dice"})
    (data / "manifest.json").write_text(told, encoding="utf-8")
    grid = log_grid(read_log(runs))
    assert (grid.headings[-1], grid.lines[1][-1]) == ("pseudo-label Dice (%)", "80.10")


def test_a_log_is_replaced_as_a_whole(runs, monkeypatch):
    log = runs / "log.csv"
    flags = (f"--runs={runs}", f"--output={log}")
    assert run_program("runs", *flags).returncode == 0
    before = log.read_text(encoding="utf-8")
    assert before.startswith("run,steps,hours,") and before.count("\n") == 3

    class FullDisk:
        def __init__(self, file, **options):
            file.write("half of it")

        def writeheader(self):
            pass

        def writerows(self, rows):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("xctrs_tf.files.csv.DictWriter", FullDisk)
    assert run_program("runs", *flags).returncode == 2
    assert log.read_text(encoding="utf-8") == before
    assert sorted(path.name for path in runs.iterdir()) == ["b", "films", "log.csv"]


def test_only_flags_that_differ_are_told(runs):
    same = {"accumulation": 2, "remat": True, "checkpoint_every": 7}
    path = runs / "b" / "config.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, "training": record["training"] | same}), "utf-8")
    notes = log_grid(read_log(runs)).notes
    assert notes[1] == "b: --data=b-data --freeze=segmentation --augment=films"
    assert notes[2] == "films/a: --data=a-data --augment=mirror"


def test_flags_of_most_runs_are_told_once_and_runs_that_are_alike_together(tmp_path):
    for fold in (0, 1):
        for row, weight in (("first", 1.0), ("second", 1.0), ("third", 7.0)):
            path = tmp_path / row / f"fold-{fold:02d}-seed-0"
            write_run(path, [], fold=fold, mae_weight=weight, augment="mirror")
            record = json.loads((path / "config.json").read_text(encoding="utf-8"))
            record["training"]["data"] = "DATA"
            if row == "second":
                record["training"]["augment"] = ""
            (path / "config.json").write_text(json.dumps(record), encoding="utf-8")
    assert log_grid(read_log(tmp_path)).notes[1:] == [
        "Most runs: --mae_weight=1 --augment=mirror",
        "first/fold-00-seed-0, first/fold-01-seed-0: as most runs",
        "second/fold-00-seed-0, second/fold-01-seed-0: --augment=",
        "third/fold-00-seed-0, third/fold-01-seed-0: --mae_weight=7",
    ]


def test_a_single_run_has_the_flags_that_are_no_defaults(tmp_path):
    write_run(tmp_path / "b", [], mae_weight=7.0, augment="mirror", remat=True)
    (told,) = log_grid(read_log(tmp_path)).notes[1:]
    assert told.startswith("All runs: --data=") and told.endswith("--mae_weight=7 --augment=mirror")


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run of experiments"):
        read_log(tmp_path)
