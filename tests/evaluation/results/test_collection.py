import json
import shutil

import pytest

from tests.evaluation.run_folders import LINES, case_line, write_failure, write_run
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.collection import collect_runs, without_folders
from xctrs_tf.evaluation.results.result_folder import read_results, write_results
from xctrs_tf.models.catalogue import REFERENCE_ROW


def test_every_row_has_its_state(runs):
    write_run(runs, "table3-unet3d", LINES)
    write_failure(runs, "table2-psr", f"exit status 1: out of memory (see {runs}/table2-psr/x.log)")
    (runs / "table1-vgg" / "fold-00-seed-0").mkdir(parents=True)
    results = collect_runs(runs)
    states = {row: each.status for row, each in results.rows.items()}
    assert states.pop(REFERENCE_ROW) == states.pop("table3-unet3d") == "evaluated"
    assert states.pop("table2-psr") == "failed"
    assert states.pop("table1-vgg") == "not finished"
    assert set(states.values()) == {"not run"}
    (failure,) = results.rows["table2-psr"].runs
    assert failure.error == "exit status 1: out of memory (see RUNS/table2-psr/x.log)"


def test_lines_have_fold_and_seed_and_the_mean_volume_each_patient_once(runs):
    write_run(runs, REFERENCE_ROW, [case_line("c", 26.0)], fold=1)
    write_run(runs, "table1-vgg", LINES)
    results = collect_runs(runs)
    found = [(each["fold"], each["seed"], each["id"]) for each in results.patients(REFERENCE_ROW)]
    assert found == [("0", "0", "a"), ("0", "0", "b"), ("1", "0", "c")]
    assert results.patients(REFERENCE_ROW)[1]["psnr"] == "24.000000"
    assert [each["id"] for each in results.mean_volume] == ["a", "b", "c"]
    assert results.settings["size"] == 32
    assert not {"vgg_weight", "data", "fold", "steps"} & results.settings.keys()


def test_a_folder_of_results_is_read_as_it_was_written(runs, tmp_path):
    write_failure(runs, "table2-psr", "no memory")
    results = collect_runs(runs)
    folder = tmp_path / "results"
    folder.mkdir()
    write_results(folder, results, {"data_hash": results.data_hash})
    assert read_results(folder) == results
    assert sorted(path.name for path in (folder / "rows").iterdir()) == [
        "mean-volume.csv",
        f"{REFERENCE_ROW}.csv",
    ]
    assert "somewhere" not in (folder / "about.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in (folder / "about.json").read_text(encoding="utf-8")


def test_the_commits_that_trained_a_run_are_kept(runs):
    path = runs / REFERENCE_ROW / "fold-00-seed-0" / "config.json"
    assert collect_runs(runs).rows[REFERENCE_ROW].runs[0].commits == []
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, "commits": [None, "b" * 40]}), encoding="utf-8")
    assert collect_runs(runs).rows[REFERENCE_ROW].runs[0].commits == [None, "b" * 40]
    path.write_text(json.dumps({**record, "commits": [1]}), encoding="utf-8")
    with pytest.raises(UserError, match=r"config.json: damaged \(commits is \[1\]"):
        collect_runs(runs)


def test_two_seeds_are_two_lines_of_a_patient(runs):
    write_run(runs, REFERENCE_ROW, [case_line("a", 23.0), case_line("b", 25.0)], seed=1)
    assert len(collect_runs(runs).patients(REFERENCE_ROW)) == 4


def test_a_patient_of_two_folds_is_refused(runs):
    write_run(runs, REFERENCE_ROW, [case_line("b", 24.0)], fold=1)
    with pytest.raises(UserError, match=r"fold-01-seed-0: patient b was tested in another fold"):
        collect_runs(runs)


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        ("table2-sit", {"width": 1.0}, "width is 1.0 and was 0.5"),
        ("table3-unet3d", {"augment": "mirror"}, "augment is mirror and was "),
        ("table2-sit", {"origin": {"dice_name": "Dice"}}, "its overlap is called Dice"),
    ],
)
def test_other_settings_are_refused(runs, row, changes, message):
    write_run(runs, row, LINES, **changes)
    with pytest.raises(UserError, match=message):
        collect_runs(runs)


def test_the_schedule_and_batch_size_of_a_row_may_be_its_own(runs):
    write_run(runs, "table2-x2ctgan", LINES)
    results = collect_runs(runs)
    found = results.rows["table2-x2ctgan"].settings
    assert (found["batch_size"], found["schedule"]) == (4, "constant_linear")
    assert not {"batch_size", "schedule"} & results.settings.keys()


def test_steps_may_differ_between_folds_since_they_follow_from_the_epochs(runs):
    write_run(runs, REFERENCE_ROW, [case_line("c", 26.0)], fold=1, steps=790)
    steps = [run.steps for run in collect_runs(runs).rows[REFERENCE_ROW].runs]
    assert steps == [800, 790]


def test_how_the_same_update_was_computed_may_differ(runs):
    same = {"remat": True, "accumulation": 2, "strategy": "mirrored", "deterministic": True}
    write_run(runs, REFERENCE_ROW, [case_line("c", 26.0)], fold=1, **same)
    results = collect_runs(runs)
    assert len(results.patients(REFERENCE_ROW)) == 3 and not same.keys() & results.settings.keys()


def test_settings_without_effect_on_a_row_are_none_of_its_settings(runs):
    write_run(runs, "table1-vgg", LINES, cross_entropy_weight=0.5, include_background=True)
    write_run(runs, "table3-unet3d", LINES, stop_gradient_on_target=True, cross_entropy_weight=1.0)
    results = collect_runs(runs)
    assert results.settings["include_background"] is False
    settings = {row: results.rows[row].settings for row in ("table1-vgg", "table3-unet3d")}
    assert not {"cross_entropy_weight", "stop_gradient_on_target"} & settings["table1-vgg"].keys()
    assert "stop_gradient_on_target" not in settings["table3-unet3d"]
    assert settings["table3-unet3d"]["cross_entropy_weight"] == 1.0


def test_settings_of_a_row_are_those_of_its_other_folds(runs):
    write_run(runs, REFERENCE_ROW, [case_line("c")], fold=1, stop_gradient_on_target=True)
    with pytest.raises(UserError, match="stop_gradient_on_target is True and was False"):
        collect_runs(runs)


def test_other_settings_in_another_fold_of_a_row_are_refused(runs):
    write_run(runs, REFERENCE_ROW, [case_line("c")], fold=1, learning_rate=5e-4)
    with pytest.raises(UserError, match=r"learning_rate is 0.0005 and was 0.001"):
        collect_runs(runs)


def test_first_weights_are_told_without_their_folders(runs):
    for row in (REFERENCE_ROW, "table1-vgg"):
        write_run(runs, row, [case_line("c")], fold=1, initial_weights=f"/home/{row}/A, /b/c/B")
    with pytest.raises(UserError, match=r"\(initial_weights is  and was A,B\)"):
        collect_runs(runs)


def test_x_ctrsnet_without_the_vgg_loss_is_refused(runs):
    write_run(runs, REFERENCE_ROW, [case_line("c")], fold=1, vgg_weight=0.0)
    with pytest.raises(UserError, match=r"is SpaDRNet \+ MulSISNet \+ RSC and no table1-xctrsnet"):
        collect_runs(runs)


def test_other_data_is_refused(runs):
    folder = write_run(runs, "table1-vgg", LINES, origin={"data_hash": "e" * 64})
    with pytest.raises(UserError, match="on other data than the run was trained on"):
        collect_runs(runs)
    record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(
        json.dumps({**record, "data_sha256": "e" * 64}), encoding="utf-8"
    )
    with pytest.raises(UserError, match="its data is other data"):
        collect_runs(runs)


def test_folds_of_another_deal_are_refused(runs):
    def write(row, split_sha256):
        folder = write_run(runs, row, LINES)
        record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        record["folders"] = [{"split_sha256": split_sha256}]
        (folder / "config.json").write_text(json.dumps(record), encoding="utf-8")

    # Some runs do not tell: those of earlier versions.
    write_run(runs, "table1-spadrnet", LINES)
    write("table1-vgg", "e" * 64)
    collect_runs(runs)
    write("table2-sit", "f" * 64)
    with pytest.raises(UserError, match=r"table2-sit.* stand .*fold 0 holds out other patients"):
        collect_runs(runs)


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"split": "train"}, "not of the test patients"),
        ({"trained_on": 2}, "2 of its patients were trained on, by an earlier stage perhaps"),
        ({"step": 500}, "of step 500, but the best is that of step 700"),
        ({"method": "SIT"}, "is SIT and no table1-vgg"),
    ],
)
def test_an_evaluation_of_something_else_is_refused(runs, origin, message):
    write_run(runs, "table1-vgg", LINES, origin=origin)
    with pytest.raises(UserError, match=message):
        collect_runs(runs)


def test_evaluations_by_other_code_are_refused(runs):
    write_run(runs, "table1-vgg", LINES, mean_volume_dice=0.26)
    with pytest.raises(UserError, match="mean volume's figures of patient a differ"):
        collect_runs(runs)


def test_a_folder_of_another_name_than_its_fold_is_refused(runs):
    (runs / REFERENCE_ROW / "fold-00-seed-0").rename(runs / REFERENCE_ROW / "fold-02-seed-0")
    with pytest.raises(UserError, match="has fold 0 and seed 0; name the folder so"):
        collect_runs(runs)


def test_a_fold_that_is_there_twice_is_refused(runs):
    folder = runs / REFERENCE_ROW
    shutil.copytree(folder / "fold-00-seed-0", folder / "fold-0-seed-00")
    with pytest.raises(UserError, match="a second run of fold 0 and seed 0; remove one"):
        collect_runs(runs)


def test_nothing_to_collect(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        collect_runs(tmp_path / "absent")
    with pytest.raises(UserError, match="no evaluated run"):
        collect_runs(tmp_path)


def test_commands_are_recorded_without_machine_paths(tmp_path):
    command = f"python -m x --workdir={tmp_path}/runs/a/b --data='/home/me/data/d 1' --lr=1/2"
    assert without_folders(command, tmp_path / "runs") == (
        "python -m x --workdir=RUNS/a/b --data='d 1' --lr=1/2"
    )
