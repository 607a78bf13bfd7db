import json

import pytest

from tests.evaluation.run_folders import LINES, case_line, write_run
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.results.earlier_results import evaluated_places, with_earlier
from xctrs_tf.models.catalogue import REFERENCE_ROW

OTHERS = [case_line("c", 26.0)]


@pytest.fixture
def earlier(tmp_path):
    """Return `Results` of two rows in fold 0."""
    write_run(tmp_path / "earlier", REFERENCE_ROW, LINES)
    write_run(tmp_path / "earlier", "table1-vgg", LINES)
    return collect_runs(tmp_path / "earlier")


def _write_segmentation(runs, row, weights, fold=0):
    folder = write_run(runs, row, LINES if fold == 0 else OTHERS, fold=fold)
    best = folder / "reconstruction_run" / "best"
    best.mkdir()
    state = {"step": 700} | ({"sha256": {"spadrnet": weights}} if weights else {})
    (best / "state.json").write_text(json.dumps(state), encoding="utf-8")


def test_new_runs_join_the_earlier_ones(earlier, tmp_path):
    runs = tmp_path / "runs"
    write_run(runs, REFERENCE_ROW, OTHERS, fold=1)
    write_run(runs, "table2-sit", LINES)
    merged = with_earlier(collect_runs(runs), earlier)
    assert evaluated_places(merged) == {
        (REFERENCE_ROW, 0, 0), (REFERENCE_ROW, 1, 0), ("table1-vgg", 0, 0), ("table2-sit", 0, 0),
    }  # fmt: skip
    assert [each["id"] for each in merged.patients(REFERENCE_ROW)] == ["a", "b", "c"]
    assert [run.fold for run in merged.rows[REFERENCE_ROW].runs] == [0, 1]
    assert [each["id"] for each in merged.mean_volume] == ["a", "b", "c"]
    assert merged.rows["table1-vgg"] == earlier.rows["table1-vgg"]


def test_results_added_to_themselves_are_the_same(earlier):
    assert with_earlier(earlier, earlier) == earlier


def test_a_run_that_both_have_is_the_new_one(earlier, tmp_path):
    write_run(tmp_path / "runs", REFERENCE_ROW, [case_line("a", 30.0), case_line("b", 31.0)])
    merged = with_earlier(collect_runs(tmp_path / "runs"), earlier)
    assert [each["psnr"] for each in merged.patients(REFERENCE_ROW)] == ["30.000000", "31.000000"]
    assert len(merged.rows[REFERENCE_ROW].runs) == 1


def test_a_run_that_has_only_begun_does_not_replace_an_evaluated_one(earlier, tmp_path):
    runs = tmp_path / "runs"
    write_run(runs, "table2-sit", LINES)
    (runs / REFERENCE_ROW / "fold-00-seed-0").mkdir(parents=True)
    merged = with_earlier(collect_runs(runs), earlier)
    assert merged.rows[REFERENCE_ROW] == earlier.rows[REFERENCE_ROW]


@pytest.mark.parametrize(
    ("row", "lines", "changes", "message"),
    [
        ("table2-sit", LINES, {"width": 1.0}, "width of all rows is 1.0 in the runs and 0.5"),
        ("table1-vgg", OTHERS, {"fold": 1, "mae_weight": 7.0}, "mae_weight of table1-vgg is 7.0"),
        ("table2-sit", LINES, {"origin": {"dice_name": "Dice"}}, "dice_name is Dice in the runs"),
        ("table1-vgg", LINES, {"fold": 1}, "table1-vgg: fold 1 has other test patients"),
        ("table2-sit", LINES, {"mean_volume_dice": 0.3}, "mean volume's figures of patient a"),
    ],
)
def test_what_cannot_stand_in_one_table_is_refused(earlier, tmp_path, row, lines, changes, message):
    write_run(tmp_path / "runs", row, lines, **changes)
    with pytest.raises(UserError, match=message):
        with_earlier(collect_runs(tmp_path / "runs"), earlier)


def test_other_data_is_refused(earlier, tmp_path):
    folder = write_run(tmp_path / "runs", "table2-sit", LINES, origin={"data_hash": "e" * 64})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(
        json.dumps({**config, "data_sha256": "e" * 64}), encoding="utf-8"
    )
    with pytest.raises(UserError, match="data is eeee"):
        with_earlier(collect_runs(tmp_path / "runs"), earlier)


def _tell_split(folder, sha256):
    path = folder / "config.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, "folders": [{"split_sha256": sha256}]}), "utf-8")


def test_patients_of_another_deal_are_refused(earlier, tmp_path):
    # Another row of the same fold, with other patients.
    write_run(tmp_path / "runs", "table2-sit", OTHERS)
    with pytest.raises(UserError, match="table2-sit: fold 0 has other test patients"):
        with_earlier(collect_runs(tmp_path / "runs"), earlier)


def test_other_validation_patients_are_refused(tmp_path):
    for name, sha256 in (("earlier", "e" * 64), ("runs", "f" * 64)):
        row = {"earlier": "table1-vgg", "runs": "table2-sit"}[name]
        _tell_split(write_run(tmp_path / name, row, LINES), sha256)
    earlier, results = (collect_runs(tmp_path / name) for name in ("earlier", "runs"))
    with pytest.raises(UserError, match="table2-sit: fold 0 has other test patients"):
        with_earlier(results, earlier)


def test_patients_of_replaced_runs_leave_the_mean_volume(tmp_path):
    write_run(tmp_path / "earlier", "table1-vgg", LINES)
    write_run(tmp_path / "runs", "table1-vgg", OTHERS)
    earlier, results = (collect_runs(tmp_path / name) for name in ("earlier", "runs"))
    assert [each["id"] for each in with_earlier(results, earlier).mean_volume] == ["c"]


def test_settings_of_older_results_are_compared_wherever_they_stand(earlier, tmp_path):
    # Older results have some settings of a method among those of all rows, or none.
    for row in (REFERENCE_ROW, "table1-vgg"):
        del earlier.rows[row].settings["optimizer"]
        earlier.settings["schedule"] = earlier.rows[row].settings.pop("schedule")
    write_run(tmp_path / "same", REFERENCE_ROW, OTHERS, fold=1)
    merged = with_earlier(collect_runs(tmp_path / "same"), earlier)
    assert merged.rows["table1-vgg"].settings["schedule"] == "constant"
    assert "schedule" not in merged.settings
    for number, changes in enumerate(({"schedule": "cosine"}, {"optimizer": "sgd"})):
        runs = tmp_path / str(number)
        write_run(runs, REFERENCE_ROW, OTHERS, fold=1, **changes)
        (field,) = changes
        with pytest.raises(UserError, match=f"{field} of {REFERENCE_ROW} is"):
            with_earlier(collect_runs(runs), earlier)
    write_run(tmp_path / "films", "table2-sit", LINES, film_normalization="equalized")
    del earlier.settings["film_normalization"]
    with pytest.raises(UserError, match="film_normalization of all rows is equalized"):
        with_earlier(collect_runs(tmp_path / "films"), earlier)


_STAGE = {"networks": ["spadrnet"], "augment": "none", "folders": [{"data_sha256": "f" * 64}]}


def _began_with(runs, fold, source, stages=None):
    """Return the results of a run that began with weights; of an earlier version without stages."""
    lines = LINES if fold == 0 else OTHERS
    folder = write_run(runs, "table1-vgg", lines, fold=fold, initial_weights=source)
    path = folder / "config.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | ({"stages": stages} if stages else {})), encoding="utf-8")
    return collect_runs(runs)


@pytest.mark.parametrize("stages", [None, [_STAGE | {"steps": 7}]])
def test_first_weights_of_older_results_have_names_alone(tmp_path, stages):
    earlier = _began_with(tmp_path / "earlier", 0, "/there/phantoms,/there/B")
    earlier.settings["initial_weights"] = "phantoms,B"
    new = _began_with(tmp_path / "runs", 1, "/here/phantoms, /here/B", stages)
    merged = with_earlier(new, earlier)
    assert len(evaluated_places(merged)) == 2
    assert merged.settings["initial_weights"] == new.settings["initial_weights"]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (("A",), ("B",)),
        (("",), ("A", [_STAGE | {"steps": 7}])),
        (("A", [_STAGE | {"steps": 7}]), ("A", [_STAGE | {"steps": 8}])),
        # Nothing would be left to compare the next runs with.
        (("A", [_STAGE | {"steps": 7}]), ("A",)),
    ],
)
def test_other_first_weights_are_refused(tmp_path, before, now):
    earlier = _began_with(tmp_path / "earlier", 0, *before)
    results = _began_with(tmp_path / "runs", 1, *now)
    with pytest.raises(UserError, match="initial_weights of all rows is "):
        with_earlier(results, earlier)


def test_settings_without_effect_on_the_earlier_rows_are_no_difference(tmp_path):
    background = {"include_background": True}
    write_run(tmp_path / "earlier", "table1-vgg", LINES, **background)
    earlier = collect_runs(tmp_path / "earlier")
    assert not background.keys() & earlier.settings.keys()
    write_run(tmp_path / "runs", "table1-mulsisnet", LINES, **background)
    merged = with_earlier(collect_runs(tmp_path / "runs"), earlier)
    assert merged.settings["include_background"] is True
    write_run(tmp_path / "others", REFERENCE_ROW, LINES)
    with pytest.raises(UserError, match="include_background of all rows is False in the runs"):
        with_earlier(collect_runs(tmp_path / "others"), merged)


@pytest.mark.parametrize(("before", "now"), [("a", "b"), (None, "a"), ("a", None), (None, None)])
def test_rows_of_table_3_after_another_or_an_unknown_reconstruction_are_refused(
    tmp_path, before, now
):
    _write_segmentation(tmp_path / "earlier", "table3-unet3d", before)
    _write_segmentation(tmp_path / "runs", "table3-dsn", now)
    earlier, results = (collect_runs(tmp_path / name) for name in ("earlier", "runs"))
    with pytest.raises(UserError, match=r"table3-dsn, fold 0, seed 0: .*that of table3-unet3d in"):
        with_earlier(results, earlier)


def test_rows_of_table_3_after_one_reconstruction_or_in_other_folds_join(tmp_path):
    _write_segmentation(tmp_path / "earlier", "table3-unet3d", "a")
    _write_segmentation(tmp_path / "runs", "table3-dsn", "a")
    _write_segmentation(tmp_path / "runs", "table3-unet3d", "b", fold=1)
    earlier, results = (collect_runs(tmp_path / name) for name in ("earlier", "runs"))
    merged = with_earlier(results, earlier)
    assert len(evaluated_places(merged)) == 3


def test_a_row_of_table_3_may_replace_itself_but_not_join_one_that_is_unknown(tmp_path):
    _write_segmentation(tmp_path / "earlier", "table3-unet3d", None)
    _write_segmentation(tmp_path / "again", "table3-unet3d", "a")
    earlier, again = (collect_runs(tmp_path / name) for name in ("earlier", "again"))
    assert with_earlier(again, earlier).rows["table3-unet3d"] == again.rows["table3-unet3d"]

    _write_segmentation(tmp_path / "earlier", "table3-dsn", "a")
    _write_segmentation(tmp_path / "runs", "table3-cs2net", "a")
    earlier, results = (collect_runs(tmp_path / name) for name in ("earlier", "runs"))
    with pytest.raises(UserError, match=r"table3-cs2net, .* that of table3-unet3d in --output"):
        with_earlier(results, earlier)
