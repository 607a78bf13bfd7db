"""The note below a table names the rows whose runs are not those of most rows."""

from tests.evaluation.run_folders import case_line, write_run
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.tables.publication import runs_note

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
