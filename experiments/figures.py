"""The paper's figures from runs.

  python -m experiments.figures --runs=RUNS --output=FIGURES [--which=fig5,fig6]
  python -m experiments.figures --results=RESULTS --output=FIGURES --which=vertebrae

fig5: what SpaDRNet makes of the films on its way to a volume (X-CTRSNet's run).
fig6: every method's reconstruction beside the CT. fig7: every method's
segmentation. vertebrae: box plots of the Dice of C1 to C7. curves: validation
during training. fig6 and fig7 are drawn from what experiments.evaluate
--save_predictions kept; fig5 alone needs the weights. vertebrae is drawn from a folder of
experiments.tables as well, also where the runs are gone.

Unless --patients names them, they are drawn of the patient whose PSNR by X-CTRSNet
is the median of the fold. Of several patients fig5 shows the first.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.evaluated_run import open_run_dataset
from xctrs_tf.evaluation.predictions import read_prediction
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.results.result_folder import read_results
from xctrs_tf.evaluation.tables.comparison import patient_values
from xctrs_tf.models.catalogue import REFERENCE_ROW, ROWS, TABLE_ROWS
from xctrs_tf.training.history import read_history
from xctrs_tf.training.run_record import read_config

FLAGS = flags.FlagValues()
RUNS = flags.DEFINE_string(
    "runs", None, "Folder of runs, of experiments.cross_validate.", flag_values=FLAGS
)
RESULTS = flags.DEFINE_string(
    "results",
    None,
    "In place of --runs: folder of experiments.tables, for --which=vertebrae.",
    flag_values=FLAGS,
)
OUTPUT = flags.DEFINE_string("output", None, "Folder for the pictures.", flag_values=FLAGS)
DATA = flags.DEFINE_string(
    "data",
    None,
    "Where the runs' data folder lies now; by default where it was.",
    flag_values=FLAGS,
)
PATIENTS = flags.DEFINE_list(
    "patients", None, "Test patients of the fold to draw; fig5 shows the first.", flag_values=FLAGS
)
FOLD = flags.DEFINE_integer("fold", 0, "Fold whose patients are drawn.", flag_values=FLAGS)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the runs that are drawn.", flag_values=FLAGS)


def execute():
    """Draw what the flags ask for."""
    if not (RUNS.value or RESULTS.value) or not OUTPUT.value:
        name = OUTPUT.name if RUNS.value or RESULTS.value else RUNS.name
        raise UserError(f"--{name} is missing: name a folder")
    if RUNS.value and RESULTS.value:
        raise UserError("--results: not beside --runs; leave one of them out")
    unknown = [name for name in WHICH.value if name not in DRAWN]
    if unknown:
        raise UserError(f"--which={unknown[0]}: must be of {', '.join(DRAWN)}")
    needing_runs = [name for name in WHICH.value if name != "vertebrae"]
    if RESULTS.value and needing_runs:
        raise UserError(f"--which={needing_runs[0]}: needs --runs; of --results take vertebrae")
    output = pathlib.Path(OUTPUT.value)
    if RESULTS.value:
        runs, results = None, read_results(pathlib.Path(RESULTS.value))
    else:
        runs = pathlib.Path(RUNS.value)
        results = collect_runs(runs)
    cli.lock_output(output)
    for name in WHICH.value:
        path = output / f"{name}.png"
        DRAWN[name](path, runs, results)
        print(path)


def drawn_patients(results, dataset):
    """Return the ids of the patients whose volumes are drawn.

    Args:
        results: `Results` of the runs.
        dataset: `Dataset` of the runs.

    Returns:
        List of ids of test patients of the fold, at least one.

    Raises:
        UserError: --patients names another one, or there is no evaluated run to choose by.
    """
    if PATIENTS.value:
        tested = dataset.split(FOLD.value).test
        for patient in PATIENTS.value:
            if patient not in tested:
                raise UserError(
                    f"--patients={patient}: no test patient of fold {FOLD.value}; these are "
                    f"{', '.join(tested)}"
                )
        return PATIENTS.value
    lines = [
        line
        for line in results.patients(REFERENCE_ROW)
        if (line["fold"], line["seed"]) == (str(FOLD.value), str(SEED.value))
    ]
    if not lines:
        raise UserError(
            f"--runs={RUNS.value}: {REFERENCE_ROW} has no evaluated run of fold {FOLD.value} and "
            f"seed {SEED.value}; name --patients, or others of --fold and --seed"
        )
    psnr = patient_values(lines, "psnr")
    return [sorted(psnr, key=psnr.get)[len(psnr) // 2]]


def _draw_decomposition(path, runs, results):
    folder, dataset = _folder(runs, REFERENCE_ROW), _dataset(runs, results, REFERENCE_ROW)
    case = dataset.load(drawn_patients(results, dataset)[0])
    cli.load_tensorflow()
    from xctrs_tf.evaluation.figures.decomposition_figure import decomposition_figure, view_features
    from xctrs_tf.training.prediction import predict_case
    from xctrs_tf.training.run import load_run

    run = load_run(folder)
    arrays = network_arrays(case, run.config.film_normalization)
    ct_pred, _ = predict_case(run, case.id, arrays)
    decomposition_figure(path, case, view_features(run.reconstruction, arrays), ct_pred)


def _draw_reconstructions(path, runs, results):
    from xctrs_tf.evaluation.figures.method_figures import reconstructions_figure

    # Table 3 segments the reconstructions of a row of Table 1.
    rows = [row for row in _evaluated(results) if not row.startswith("table3")]
    if not rows:
        raise UserError(f"--runs={runs}: no run of Table 1 or 2; leave fig6 out of --which")
    score = "{psnr:.1f} dB, SSIM {ssim:.2f}".format
    reconstructions_figure(path, _predictions(runs, results, rows, score))


def _draw_surfaces(path, runs, results):
    from xctrs_tf.evaluation.figures.method_figures import surfaces_figure

    rows = [
        row
        for row in _evaluated(results)
        if any(patient["dice_mean"] for patient in results.patients(row))
    ]
    if not rows:
        raise UserError(f"--runs={runs}: no run segments; leave fig7 out of --which")
    score = f"{results.dice_name} {{dice_mean:.2f}}".format
    surfaces_figure(path, _predictions(runs, results, rows, score))


def _draw_vertebrae(path, runs, results):
    del runs
    from xctrs_tf.evaluation.figures.chart_figures import vertebrae_figure

    vertebrae_figure(path, results)


def _draw_curves(path, runs, results):
    from xctrs_tf.evaluation.figures.chart_figures import curves_figure

    histories = {}
    for row, found in results.rows.items():
        done = [run for run in found.runs if run.status == "evaluated"]
        folders = [runs / row / f"fold-{run.fold:02d}-seed-{run.seed}" for run in done]
        # A run whose history is gone has no curve, and the others keep their label.
        histories[row] = list(filter(None, map(read_history, folders)))
    curves_figure(path, histories, results.dice_name)


DRAWN = {
    "fig5": _draw_decomposition,
    "fig6": _draw_reconstructions,
    "fig7": _draw_surfaces,
    "vertebrae": _draw_vertebrae,
    "curves": _draw_curves,
}
WHICH = flags.DEFINE_list(
    "which", list(DRAWN), f"Pictures, of {', '.join(DRAWN)}.", flag_values=FLAGS
)


def _predictions(runs, results, rows, score):
    """Read the `PatientPredictions` of the drawn patients for these rows."""
    from xctrs_tf.evaluation.figures.method_figures import PatientPredictions

    dataset = _dataset(runs, results, rows[0])
    # X-CTRSNet last, as in the paper.
    rows = sorted(rows, key=lambda row: row == REFERENCE_ROW)
    patients = []
    for patient in drawn_patients(results, dataset):
        predictions, scores = {}, {}
        for row in rows:
            title = TABLE_ROWS[row].title
            predictions[title] = read_prediction(
                _folder(runs, row) / "evaluation" / "predictions", patient
            )
            scores[title] = score(**_figures(results, row, patient))
        patients.append(PatientPredictions(dataset.load(patient), predictions, scores))
    return patients


def _figures(results, row, patient):
    (line,) = [
        line
        for line in results.patients(row)
        if (line["id"], line["seed"]) == (patient, str(SEED.value))
    ]
    return {key: float(line[key] or "nan") for key in ("psnr", "ssim", "dice_mean")}


def _evaluated(results):
    """Return the rows that have a run of the drawn fold and seed, at least one."""
    rows = [
        row
        for row in ROWS
        if any(
            (run.fold, run.seed, run.status) == (FOLD.value, SEED.value, "evaluated")
            for run in results.rows[row].runs
        )
    ]
    if not rows:
        raise UserError(
            f"--runs={RUNS.value}: no evaluated run of fold {FOLD.value} and seed {SEED.value}; "
            "name others with --fold and --seed"
        )
    return rows


def _dataset(runs, results, row):
    """Open the data of the runs; other patients may have the same ids."""
    folder = _folder(runs, row)
    dataset = open_run_dataset(folder, read_config(folder), DATA.value)
    if dataset.content_hash() != results.data_hash:
        raise UserError(
            f"{dataset.path}: not the data that the runs of {RUNS.value} were tested on; name a "
            "copy of these with --data"
        )
    return dataset


def _folder(runs, row):
    return runs / row / f"fold-{FOLD.value:02d}-seed-{SEED.value}"


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
