"""Evaluate a training run on patients that it has not seen.

    python -m experiments.evaluate --workdir=RUN

Prints the paper's row of Table 1 for the run and, on the same patients, for a
guess that never looks at the films: the mean training volume and its labels.
Writes to --output: cases.csv and baselines.csv (a line a patient, with a .json
beside each that says where it comes from), table.md, and case-<id>.png of the
first patients of the split.
"""

import json
import pathlib

from absl import flags
from tqdm import tqdm

from experiments import cli
from xctrs_tf import provenance
from xctrs_tf.data.dataset import network_arrays, open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.baselines import mean_baseline
from xctrs_tf.evaluation.cases import evaluate_case, write_cases_csv
from xctrs_tf.evaluation.tables import PAPER_ROW, markdown_table, table_row, text_table
from xctrs_tf.files import write_text
from xctrs_tf.training.config import read_config

# Flag value to the list of `xctrs_tf.data.dataset.Split`.
SPLITS = {"test": "test", "validation": "validation", "train": "training"}

WORKDIR = flags.DEFINE_string("workdir", None, "Run folder of experiments.train.")
DATA = flags.DEFINE_string("data", None, "Prepared data folder; by default the run's own.")
SPLIT = flags.DEFINE_enum("split", "test", list(SPLITS), "Patients of the run's fold.")
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "best", ["best", "last"], "Weights: lowest validation loss, or newest."
)
OUTPUT = flags.DEFINE_string("output", None, "Folder to write; by default WORKDIR/evaluation.")
FIGURES = flags.DEFINE_integer(
    "figures", 2, "How many patients are drawn, the first of the split.", lower_bound=0
)
LABEL_NAME = flags.DEFINE_string(
    "label_name",
    "Dice",
    "Name of the overlap in table and figures; 'pseudo-label Dice' if no expert drew the labels.",
)


def main():
    """Evaluate the run that the flags name."""
    if not WORKDIR.value:
        raise UserError("--workdir is missing: name a run of experiments.train")
    workdir = pathlib.Path(WORKDIR.value)
    config = read_config(workdir)
    dataset = open_run_dataset(workdir, config, DATA.value)
    cli.load_tensorflow()
    from xctrs_tf.training.runs import load_run

    run = load_run(workdir, CHECKPOINT.value)
    output = pathlib.Path(OUTPUT.value or workdir / "evaluation")
    split = SPLITS[SPLIT.value]
    print(evaluate_run(run, dataset, split, output, FIGURES.value, LABEL_NAME.value))


def open_run_dataset(workdir, config, data=None):
    """Open the data that a run is evaluated on.

    Args:
        workdir: `pathlib.Path` of the run folder.
        config: its `TrainingConfig`.
        data: another data folder than the run's own.

    Returns:
        `Dataset`.

    Raises:
        UserError: it does not fit the networks, or it is no longer what the run
            was trained on, so that its test patients may have been trained on.
    """
    dataset = open_dataset(data or config.data)
    if dataset.size != config.size:
        raise UserError(
            f"{dataset.path} has {dataset.size} voxels a side, the run {workdir} has "
            f"{config.size}; prepare with --size={config.size}"
        )
    trained_on = json.loads((workdir / "config.json").read_text())["data_sha256"]
    if data is None and dataset.content_hash() != trained_on:
        raise UserError(
            f"{dataset.path} has changed since {workdir} was trained on it, its folds too "
            "perhaps; name the data with --data to evaluate nonetheless"
        )
    return dataset


def evaluate_run(run, dataset, split, output, num_figures=2, label_name="Dice"):
    """Evaluate a run and the mean training volume; write every file.

    Args:
        run: `xctrs_tf.training.runs.Run`.
        dataset: `Dataset`.
        split: name of a list of `Split`.
        output: `pathlib.Path` of the folder to write.
        num_figures: how many patients are drawn.
        label_name: what the overlap is called.

    Returns:
        The table and the paths of the figures, as text.
    """
    from xctrs_tf.training.prediction import predict_case

    patients = dataset.split(run.config.fold)
    ids = getattr(patients, split)
    baseline = mean_baseline(dataset, patients.training)
    rows, baseline_rows, drawn = [], [], []
    # disable=None: no bar where nobody looks at it.
    for patient in tqdm(ids, unit="patient", disable=None):
        case = dataset.load(patient)
        ct_pred, labels_pred = predict_case(run, case.id, network_arrays(case))
        rows.append(evaluate_case(case, ct_pred, labels_pred))
        baseline_rows.append(evaluate_case(case, baseline.ct, baseline.labels))
        if len(drawn) < num_figures:
            drawn.append((case, ct_pred, labels_pred, rows[-1]))
    origin = provenance.collect(
        n=len(ids),
        seed=run.config.seed,
        data_hash=dataset.content_hash(),
        split=split,
        fold=run.config.fold,
        step=run.step,
        training_patients=len(patients.training),
        dice_name=label_name,
    )
    # Only now is anything written: an evaluation is whole or not there.
    _make_folder(output)
    write_cases_csv(output / "cases.csv", rows, origin)
    write_cases_csv(output / "baselines.csv", baseline_rows, origin)
    table = [table_row("X-CTRSNet", rows), table_row("mean volume", baseline_rows), PAPER_ROW]
    markdown = markdown_table(table, label_name)
    write_text(output / "table.md", f"{markdown}\nMade by `{origin['command']}`.\n")
    figures = _draw(output, drawn, label_name)
    return "\n".join([text_table(table, label_name), "", f"{output}/", *map(str, figures)])


def _make_folder(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output={path}: cannot be made ({error.strerror}); name another folder"
        ) from error


def _draw(output, cases, label_name):
    """Draw each `(case, ct_pred, labels_pred, row)`; returns the paths."""
    from xctrs_tf.evaluation.figures import case_figure

    paths = []
    for case, ct_pred, labels_pred, row in cases:
        paths.append(output / f"case-{case.id}.png")
        case_figure(paths[-1], case, ct_pred, labels_pred, row, label_name)
    return paths


if __name__ == "__main__":
    cli.run(main)
