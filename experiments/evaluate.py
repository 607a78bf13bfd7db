"""Evaluate a run or an exported model on patients with a CT.

    python -m experiments.evaluate --workdir=RUN
    python -m experiments.evaluate --workdir=RUN --data=OTHER --split=all
    python -m experiments.evaluate --model=MODEL --data=OTHER --output=FIGURES

Prints the figures of the paper's Table 1 and, on the same patients, for a guess that
never looks at the films: the mean volume of the model's training patients and their labels.
--data is any folder of experiments.prepare of the model's size. One line says whether the
model was trained on some of the patients. With several --model they answer together.

Writes to --output: cases.csv and baselines.csv (a line a patient, with a .json
beside each that says where it comes from), table.md, case-<id>.png of the first
patients, and with --save_predictions predictions/<id>.npz, which
experiments.figures draws from. Files of an earlier evaluation are removed.
RUN/evaluation is for the test patients of the run's own fold alone, by the best weights: it
goes into exports and tables. By default all else goes to a folder beside it, such as
RUN/evaluation-OTHER-all.
"""

import contextlib
import pathlib
import sys

from absl import flags, logging

from experiments.common import cli
from experiments.common.evaluated_models import model_of_exports, model_of_run
from experiments.common.model_flags import check_run_or_model, define_mirror
from experiments.common.privacy import define_share, private_files
from experiments.common.run_flags import SPLITS, RunFlags
from xctrs_tf import provenance
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import ALL, choose_cohort
from xctrs_tf.evaluation.patient import (
    check_evaluation_folder,
    evaluate_case,
    write_cases_csv,
)
from xctrs_tf.evaluation.predictions import write_prediction
from xctrs_tf.evaluation.tables.grids import markdown, text
from xctrs_tf.evaluation.tables.run_table import PAPER_ROW, run_grid, table_row
from xctrs_tf.files import read_json, write_text
from xctrs_tf.models.catalogue import MEAN_VOLUME, XCTRSNET
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
MODEL = flags.DEFINE_multi_string(
    "model",
    None,
    "In place of --workdir: folder of experiments.export, or one version in it: SavedModel, "
    "ONNX or weights. Given several times, the models answer together.",
    flag_values=FLAGS,
)
MODEL_SHA256 = flags.DEFINE_multi_string(
    "model_sha256",
    None,
    "Refuse --model unless its hash is this one (printed by experiments.export); one for each.",
    flag_values=FLAGS,
)
RUN = RunFlags(
    FLAGS,
    ("workdir", "data", "checkpoint", "output", "label_name"),
    "Folder to write; needed with --model. By default WORKDIR/evaluation for the run's own test "
    "patients (best weights, no --mirror), else a folder beside it.",
)
SPLIT = flags.DEFINE_enum(
    "split",
    None,
    [*SPLITS, ALL],
    "Patients of a fold, or all; by default test on the training data, and all on other data.",
    flag_values=FLAGS,
)
FOLD = flags.DEFINE_integer(
    "fold",
    None,
    "Fold of --split; by default that of the model's training, and 0 on other data.",
    lower_bound=0,
    flag_values=FLAGS,
)
MIRROR = define_mirror(FLAGS)
FIGURES = flags.DEFINE_integer(
    "figures",
    2,
    "How many patients are drawn, the first ones.",
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
# Folder of a run for the figures of its own test patients, which exports and tables read.
OWN_FOLDER = "evaluation"
# Without the first an evaluation is not complete, and nothing reads the other files.
_FILES = ("cases.json", "cases.csv", "baselines.json", "baselines.csv", "table.md")
_NO_MEAN_VOLUME = (
    "The mean volume of the training patients is left out: the training data is not at hand, or "
    "differs between the models."
)


def execute():
    """Evaluate the model that the flags name."""
    model = _model()
    dataset = model.open_data(RUN.data.value)
    if model.mirror and any(training.takes_films for training in model.trainings):
        dataset.films.check_mirrored("--mirror")
    split = SPLITS.get(SPLIT.value, SPLIT.value)
    cohort = choose_cohort(dataset, model.trainings, split, FOLD.value)
    label_name = dataset.overlap_name(RUN.label_name.value)
    output = _output(model, cohort)
    check_evaluation_folder(output, _FILES, _is_of_run(output) or bool(_earlier(output)))
    if warning := cohort.warning():
        logging.warning("%s", warning)
    with private_files(SHARE.value):
        cli.lock_output(output)
        printed = evaluate_model(
            model.load(),
            cohort,
            output,
            num_figures=FIGURES.value,
            label_name=label_name,
            save_predictions=SAVE_PREDICTIONS.value,
        )
    print(printed)


def evaluate_model(
    model, cohort, output, *, num_figures=2, label_name=None, save_predictions=False
):
    """Evaluate a model and the mean training volume; write every file.

    Args:
        model: `experiments.common.evaluated_models.LoadedModel`.
        cohort: `xctrs_tf.evaluation.cohort.Cohort`.
        output: `pathlib.Path` of the folder to write, which exists.
        num_figures: number of patients drawn, the first ones.
        label_name: name of the overlap in the table; None for that of the data.
        save_predictions: True keeps the prediction of every patient.

    Returns:
        The table and the paths of the figures, as text.
    """
    dataset, label_name = cohort.dataset, cohort.dataset.overlap_name(label_name)
    average, num_training = cohort.mean_volume()
    rows, mean_volume_rows, predicted = [], [], []
    for patient in progress_bar(cohort.ids, unit="patient"):
        case = dataset.load(patient)
        ct_pred, labels_pred = model.predict(case)
        rows.append(evaluate_case(case, ct_pred, labels_pred))
        if average is not None:
            mean_volume_rows.append(evaluate_case(case, average.ct, average.labels))
        if save_predictions or len(predicted) < num_figures:
            predicted.append((case.id, ct_pred, labels_pred))
    origin = provenance.collect(
        n=len(rows),
        data_hash=dataset.content_hash(),
        split=cohort.split,
        fold=cohort.fold,
        is_training_data=cohort.is_own,
        trained_on=cohort.trained_on,
        training_patients=num_training or None,
        method=model.name,
        dice_name=label_name,
        **model.origin,
    )
    # Files are written only after every patient was evaluated.
    _remove_earlier(output)
    if save_predictions:
        _save(output / "predictions", predicted)
    figures = []
    for (patient, ct_pred, labels_pred), row in zip(predicted[:num_figures], rows, strict=False):
        figures.append(output / f"case-{patient}.png")
        _draw(figures[-1], dataset.load(patient), ct_pred, labels_pred, row, label_name, model.name)
    grid = run_grid(_table(model.name, rows, mean_volume_rows), label_name)
    notes = [cohort.warning(), None if mean_volume_rows else _NO_MEAN_VOLUME]
    remarks = "".join(f"{note}\n\n" for note in notes if note)
    made = f"Made by `{origin['command']}`.\n"
    write_text(output / "table.md", f"{markdown([grid])}\n{remarks}{made}")
    if mean_volume_rows:
        write_cases_csv(output / "baselines.csv", mean_volume_rows, origin)
    # Written last: marks a complete evaluation.
    write_cases_csv(output / "cases.csv", rows, origin)
    return "\n".join([text(grid), "", *filter(None, notes[1:]), f"{output}/", *map(str, figures)])


def _model():
    check_run_or_model(RUN.workdir, MODEL, MODEL_SHA256, RUN.checkpoint)
    if RUN.workdir.value:
        return model_of_run(RUN.workdir.value, RUN.checkpoint.value, MIRROR.value)
    return model_of_exports(MODEL.value, MODEL_SHA256.value or (), MIRROR.value)


def _output(model, cohort):
    """Return the folder to write; that of a run's own test patients only for these."""
    is_best = RUN.checkpoint.value == "best"
    is_own = model.workdir is not None and cohort.is_own_test and is_best and not model.mirror
    if RUN.output.value:
        output = pathlib.Path(RUN.output.value).resolve()
        of_run = output.name == OWN_FOLDER and (output.parent / "config.json").is_file()
        if of_run and not (is_own and output.parent == model.workdir.resolve()):
            raise UserError(
                f"--output={RUN.output.value}: is for the figures of that run's best weights on "
                "its own test patients, which exports and tables read; name another folder"
            )
        return pathlib.Path(RUN.output.value)
    if model.workdir is None:
        raise UserError("--output: missing; name a folder for the figures of --model")
    if is_own:
        return model.workdir / OWN_FOLDER
    parts = [
        OWN_FOLDER,
        None if cohort.is_own else cohort.dataset.path.resolve().name,
        next((flag for flag, name in SPLITS.items() if name == cohort.split), cohort.split),
        None if FOLD.value is None else f"fold-{FOLD.value}",
        None if is_best else RUN.checkpoint.value,
        "mirror" if model.mirror else None,
    ]
    folder = model.workdir / "-".join(filter(None, parts))
    before = _earlier(folder).get("data_hash")
    # Two folders of data may have the same name.
    if not cohort.is_own and before not in (None, cohort.dataset.content_hash()):
        raise UserError(
            f"{folder}: holds the figures of other data of that name; name a folder with --output, "
            "that one to replace them"
        )
    return folder


def _earlier(folder):
    """Return the record of the evaluation in a folder; an empty dict if there is none."""
    try:
        record = read_json(folder / "cases.json")
    except (OSError, ValueError):
        return {}
    return record if "data_hash" in record else {}


def _is_of_run(folder):
    """Return True for a folder of evaluations in that of a run."""
    return folder.name.startswith(OWN_FOLDER) and (folder.parent / "config.json").is_file()


def _remove_earlier(folder):
    """Remove the files of an earlier evaluation from a folder, and no others."""
    predictions = folder / "predictions"
    # Elsewhere files of these names may be anyone's.
    if _is_of_run(folder) or _earlier(folder):
        for file in (*folder.glob("case-*.png"), *predictions.glob("*.npz")):
            file.unlink()
        with contextlib.suppress(OSError):
            predictions.rmdir()
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


def _table(name, rows, mean_volume_rows):
    table = [table_row(name, rows)]
    if mean_volume_rows:
        table.append(table_row(MEAN_VOLUME, mean_volume_rows))
    if name == XCTRSNET:
        table.append(PAPER_ROW)
    return table


def _save(folder, predicted):
    folder.mkdir(exist_ok=True)
    for prediction in predicted:
        write_prediction(folder, *prediction)


def _draw(*arguments):
    # Matplotlib takes a while to import, and with --figures=0 nothing draws.
    from xctrs_tf.evaluation.figures.case_figure import case_figure

    case_figure(*arguments)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
