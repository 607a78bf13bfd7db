"""Evaluate a training run on patients that it has not seen.

    python -m experiments.evaluate --workdir=RUN

Prints the figures of the paper's Table 1 for the run and, on the same patients,
for a guess that never looks at the films: the mean training volume and its labels.
Writes to --output: cases.csv and baselines.csv (a line a patient, with a .json
beside each that says where it comes from), table.md, case-<id>.png of the first
patients of the split, and with --save_predictions predictions/<id>.npz, which
experiments.figures draws from.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from experiments.common.privacy import define_share, private_files
from experiments.common.run_flags import SPLITS, RunFlags
from xctrs_tf import provenance
from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.evaluation.evaluated_run import open_run, run_name
from xctrs_tf.evaluation.mean_volume import mean_volume
from xctrs_tf.evaluation.patient import evaluate_case, write_cases_csv
from xctrs_tf.evaluation.predictions import write_prediction
from xctrs_tf.evaluation.tables.grids import markdown, text
from xctrs_tf.evaluation.tables.run_table import PAPER_ROW, run_grid, table_row
from xctrs_tf.files import atomic_path, write_text
from xctrs_tf.models.catalogue import MEAN_VOLUME, XCTRSNET
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
RUN = RunFlags(FLAGS, ("workdir", "data", "split", "checkpoint", "output", "label_name"))
FIGURES = flags.DEFINE_integer(
    "figures",
    2,
    "How many patients are drawn, the first of the split.",
    lower_bound=0,
    flag_values=FLAGS,
)
SAVE_PREDICTIONS = flags.DEFINE_bool(
    "save_predictions",
    False,
    "Keep every patient's reconstruction and segmentation.",
    flag_values=FLAGS,
)


SHARE = define_share(FLAGS)


def execute():
    """Evaluate the run that the flags name."""
    output = pathlib.Path(RUN.output.value or f"{RUN.workdir.value}/evaluation")

    def begin():
        cli.lock_output(output)
        cli.load_tensorflow()

    with private_files(SHARE.value):
        run, dataset = open_run(RUN.workdir.value, RUN.checkpoint.value, RUN.data.value, begin)
        printed = evaluate_run(
            run,
            dataset,
            SPLITS[RUN.split.value],
            output,
            name=run_name(run),
            num_figures=FIGURES.value,
            label_name=RUN.label_name.value,
            save_predictions=SAVE_PREDICTIONS.value,
        )
    print(printed)


def evaluate_run(
    run,
    dataset,
    split,
    output,
    *,
    name=XCTRSNET,
    num_figures=2,
    label_name="Dice",
    save_predictions=False,
):
    """Evaluate a run and the mean training volume; write every file.

    Args:
        run: `xctrs_tf.training.run.Run`.
        dataset: `Dataset`.
        split: name of a list of `Split`.
        output: `pathlib.Path` of the folder to write.
        name: name of the method in the table.
        num_figures: number of patients drawn, the first of the split.
        label_name: name of the overlap in the table.
        save_predictions: True keeps the prediction of every patient.

    Returns:
        The table and the paths of the figures, as text.
    """
    from xctrs_tf.training.prediction import predict_case

    patients = dataset.split(run.config.fold)
    ids = getattr(patients, split)
    average = mean_volume(dataset, patients.training)
    rows, mean_volume_rows, predicted = [], [], []
    for patient in progress_bar(ids, unit="patient"):
        case = dataset.load(patient)
        ct_pred, labels_pred = predict_case(
            run, case.id, network_arrays(case, run.config.film_normalization)
        )
        rows.append(evaluate_case(case, ct_pred, labels_pred))
        mean_volume_rows.append(evaluate_case(case, average.ct, average.labels))
        if save_predictions or len(predicted) < num_figures:
            predicted.append((case.id, ct_pred, labels_pred))
    origin = provenance.collect(
        n=len(ids),
        seed=run.config.seed,
        data_hash=dataset.content_hash(),
        split=split,
        fold=run.config.fold,
        step=run.step,
        computed_in=run.computed_in,
        training_patients=len(patients.training),
        method=name,
        dice_name=label_name,
    )
    # Files are written only after every patient was evaluated.
    cli.make_output_folder(output)
    # Without it the evaluation is not complete, and nothing reads the other files.
    (output / "cases.json").unlink(missing_ok=True)
    if save_predictions:
        _save(output / "predictions", predicted)
    figures = []
    for (patient, ct_pred, labels_pred), row in zip(predicted[:num_figures], rows, strict=False):
        figures.append(output / f"case-{patient}.png")
        _draw(figures[-1], dataset.load(patient), ct_pred, labels_pred, row, label_name, name)
    table = [table_row(name, rows), table_row(MEAN_VOLUME, mean_volume_rows)]
    if name == XCTRSNET:
        table.append(PAPER_ROW)
    grid = run_grid(table, label_name)
    write_text(output / "table.md", f"{markdown([grid])}\nMade by `{origin['command']}`.\n")
    write_cases_csv(output / "baselines.csv", mean_volume_rows, origin)
    # Written last: marks a complete evaluation.
    write_cases_csv(output / "cases.csv", rows, origin)
    return "\n".join([text(grid), "", f"{output}/", *map(str, figures)])


def _save(folder, predicted):
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for prediction in predicted:
            write_prediction(temporary, *prediction)


def _draw(*arguments):
    # Matplotlib takes a while to import, and with --figures=0 nothing draws.
    from xctrs_tf.evaluation.figures.case_figure import case_figure

    case_figure(*arguments)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
