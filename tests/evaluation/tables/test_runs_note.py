"""The note below a table names the rows whose runs are not those of most rows."""

import pytest

from tests.evaluation.run_folders import case_line, write_run
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.tables.table_notes import other_patients_note, runs_note

ROWS = ("table1-spadrnet", "table1-vgg", "table1-mulsisnet")


def note_of(runs, extra):
    """Return the note where each row has fold 0 and seed 0, and one of them ``extra`` runs."""
    for row in ROWS:
        dice = 0.5 if row == "table1-mulsisnet" else None
        places = [(0, 0), *(extra if row == "table1-vgg" else ())]
        for fold, seed in places:
            lines = [case_line(f"{name}{fold}", 22.0, dice=dice) for name in "ab"]
            write_run(runs, row, lines, fold, seed)
    return runs_note(collect_runs(runs))


def test_rows_that_are_alike_are_told_once(tmp_path):
    assert ", fold 0, seed 0; about.json" in note_of(tmp_path, [])


def test_a_row_with_another_seed_is_named(tmp_path):
    note = note_of(tmp_path, [(0, 1)])
    assert ", fold 0, seed 0 (SpaDRNet + VGG: seeds 0, 1); about.json" in note


def test_a_row_with_more_folds_is_named(tmp_path):
    note = note_of(tmp_path, [(1, 0), (2, 0)])
    assert ", fold 0 (SpaDRNet + VGG: folds 0, 1, 2), seed 0; about.json" in note


def test_a_seed_of_some_folds_alone_is_told_with_them(tmp_path):
    note = note_of(tmp_path, [(1, 0), (1, 1)])
    assert "seed 0 (SpaDRNet + VGG: seed 0 in folds 0, 1 and seed 1 in fold 1); about.json" in note


def test_rows_of_other_patients_are_told(tmp_path):
    note_of(tmp_path, [])
    assert other_patients_note(collect_runs(tmp_path), ROWS) == []
    note_of(tmp_path / "more", [(1, 0)])
    results = collect_runs(tmp_path / "more")
    (note,) = other_patients_note(results, ROWS)
    assert note.startswith("Not all rows have the same patients")
    assert other_patients_note(results, ("table1-vgg", "table2-sit")) == []


def test_as_many_patients_of_another_fold_are_told(tmp_path):
    for fold, row in enumerate(ROWS[:2]):
        write_run(tmp_path, row, [case_line(f"a{fold}", 22.0)], fold)
    assert other_patients_note(collect_runs(tmp_path), ROWS[:2])


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ((0.0, 0.0), ""),
        ((1.0, 1.0), " With a cross-entropy, which the paper does not have: every segmentation."),
        ((0.0, 1.0), " With a cross-entropy, which the paper does not have: X-CTRSNet."),
    ],
)
def test_a_cross_entropy_is_told(tmp_path, weights, told):
    lines = [case_line("a", 22.0, dice=0.5)]
    for row, weight in zip(("table1-mulsisnet", "table1-xctrsnet"), weights, strict=True):
        write_run(tmp_path, row, lines, cross_entropy_weight=weight)
    write_run(tmp_path, "table1-spadrnet", [case_line("a", 22.0)])
    assert runs_note(collect_runs(tmp_path)).endswith(f"has every setting.{told}")
