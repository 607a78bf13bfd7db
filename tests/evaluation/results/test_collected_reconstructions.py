"""The reconstructions that the rows of Table 3 segment."""

import json

import pytest

from tests.evaluation.run_folders import LINES, case_line, write_run
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.models.catalogue import RECONSTRUCTION_ROW


def test_folds_on_another_reconstruction_are_refused(runs):
    write_run(runs, "table3-unet3d", LINES)
    other = {"method": "X2CT-GAN > 3D UNet"}
    write_run(runs, "table3-unet3d", [case_line("c")], fold=1, origin=other)
    with pytest.raises(UserError, match=r"is X2CT-GAN > 3D UNet and was SpaDRNet \+ VGG > 3D UNet"):
        collect_runs(runs)


def test_a_reconstruction_from_before_another_deal_is_refused(runs):
    folder = write_run(runs, "table3-unet3d", LINES)
    for path, split_sha256 in ((folder, "e" * 64), (folder / "reconstruction_run", "f" * 64)):
        record = json.loads((path / "config.json").read_text(encoding="utf-8"))
        collect_runs(runs)
        record["folders"] = [{"split_sha256": split_sha256}]
        (path / "config.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match="trained before the patients were dealt to other folds"):
        collect_runs(runs)


def write_frozen(runs, row, state, **changes):
    """Write a row of Table 3 whose reconstruction has this checkpoint and other settings."""
    copy = write_run(runs, row, LINES) / "reconstruction_run"
    record = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    record["training"] |= changes
    (copy / "config.json").write_text(json.dumps(record), encoding="utf-8")
    (copy / "best").mkdir()
    (copy / "best" / "state.json").write_text(json.dumps(state), encoding="utf-8")


STATE = {"step": 700, "sha256": {"reconstruction.weights.h5": "a" * 64}}


@pytest.mark.parametrize(
    ("state", "changes", "told"),
    [
        ({**STATE, "step": 600}, {}, "step"),
        ({**STATE, "sha256": {"reconstruction.weights.h5": "b" * 64}}, {}, "weights"),
        (STATE, {"vgg_weight": 3.0, "width": 1.0}, "vgg_weight, width"),
    ],
)
def test_rows_of_table_3_after_different_reconstructions_are_refused(runs, state, changes, told):
    write_frozen(runs, "table3-dsn", STATE)
    write_frozen(runs, "table3-unet3d", state, **changes)
    message = rf"table3-dsn.*fold-00-seed-0: .* another reconstruction, [^(]* \({told}\)"
    with pytest.raises(UserError, match=message):
        collect_runs(runs)


def write_reconstruction(runs, state, fold=0, **changes):
    """Write the row of Table 1 that the rows of Table 3 segment."""
    lines = [case_line(f"{name}{fold}", 22.0) for name in "ab"] if fold else LINES
    folder = write_run(runs, RECONSTRUCTION_ROW, lines, fold=fold, **changes)
    (folder / "best" / "state.json").write_text(json.dumps(state), encoding="utf-8")


OTHER_WEIGHTS = {**STATE, "sha256": {"reconstruction.weights.h5": "b" * 64}}


@pytest.mark.parametrize(
    ("state", "changes", "told"),
    [(OTHER_WEIGHTS, {}, "weights"), (STATE, {"mae_weight": 3.0}, "mae_weight")],
)
def test_rows_of_table_3_after_another_reconstruction_than_table_1_are_refused(
    runs, state, changes, told
):
    write_frozen(runs, "table3-dsn", STATE)
    write_reconstruction(runs, state, **changes)
    with pytest.raises(UserError, match=rf"table3-dsn.* another reconstruction, [^(]*\({told}\)"):
        collect_runs(runs)


def test_table_1_and_3_have_one_reconstruction(runs):
    write_frozen(runs, "table3-dsn", STATE)
    write_reconstruction(runs, STATE)
    # Folds may have their best weights at other steps.
    write_reconstruction(runs, {**OTHER_WEIGHTS, "step": 500}, fold=1, origin={"step": 500})
    results = collect_runs(runs)
    records = [*results.rows[RECONSTRUCTION_ROW].runs, *results.rows["table3-dsn"].runs]
    told = [each.reconstruction for each in records]
    assert told == [STATE["sha256"], OTHER_WEIGHTS["sha256"], STATE["sha256"]]


def test_folds_after_reconstructions_of_two_recipes_are_refused(runs):
    write_frozen(runs, "table3-dsn", STATE)
    write_reconstruction(runs, STATE, fold=1, mae_weight=3.0)
    with pytest.raises(
        UserError, match=r"table3-dsn.* another reconstruction, [^(]*\(mae_weight\)"
    ):
        collect_runs(runs)


@pytest.mark.parametrize("state", [STATE, {}, {"step": 700}])
def test_what_is_not_known_of_a_reconstruction_is_no_difference(runs, state):
    write_frozen(runs, "table3-dsn", state)
    # How the same update was computed, the length and the place of the data.
    write_frozen(runs, "table3-unet3d", STATE, remat=True, steps=900, data="/moved")
    results = collect_runs(runs)
    assert results.rows["table3-dsn"].status == results.rows["table3-unet3d"].status == "evaluated"


def test_a_reconstruction_that_saw_the_test_patients_is_refused(runs):
    folder = write_run(runs, "table3-unet3d", LINES)
    config = folder / "reconstruction_run" / "config.json"
    config.write_text(
        config.read_text(encoding="utf-8").replace('"fold": 0', '"fold": 3'), encoding="utf-8"
    )
    with pytest.raises(UserError, match="trained on fold 3, and so on patients that fold 0 tests"):
        collect_runs(runs)
