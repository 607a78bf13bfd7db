"""Measure how well a segmentation network finds and names C1 to C7, by the protocol of VerSe.

    python -m experiments.segment.evaluate --model=MODEL --data=PREPARED --output=FIGURES

Runs the whole tool of experiments.segment on the CT of each patient: on the scan where the data
were prepared with --keep_scan, else on the crop. Prints identification rate (the centroid of
the vertebra of the right name within 20 mm), distance of the centroids and Dice, for the names
that the tool writes and for the likely levels. One line says whether the model was trained on
some of the patients.

Writes to --output: cases.csv (a line a patient), cases.json (where it comes from, and what was
found in each patient), table.md and table.csv. The same command continues a stopped evaluation.
"""

import json
import pathlib
import sys

from absl import flags, logging

from experiments.common import cli
from experiments.common.privacy import define_share, private_files
from experiments.common.run_flags import SPLITS
from experiments.segment.trained_patients import choose_patients, read_trained_on
from xctrs_tf import provenance
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.manifest import LABELS_FIELD
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import ALL
from xctrs_tf.evaluation.patient import check_evaluation_folder
from xctrs_tf.files import as_dict, atomic_path, read_json, write_csv, write_json, write_text
from xctrs_tf.pretrained import DEFAULT_SEGMENTER
from xctrs_tf.progress import progress_bar, stage

FLAGS = flags.FlagValues()
MODEL = flags.DEFINE_string(
    "model",
    DEFAULT_SEGMENTER,
    "Network: a name that comes with the package, a run folder of experiments.train, or a folder "
    "of experiments.export --format=weights.",
    flag_values=FLAGS,
)
DATA = flags.DEFINE_string("data", None, "Prepared data folder of any size.", flag_values=FLAGS)
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
OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", flag_values=FLAGS)
LABEL_NAME = flags.DEFINE_string(
    "label_name",
    None,
    "Name of the overlap in the tables; by default what experiments.prepare --label_name was given "
    "for the data.",
    flag_values=FLAGS,
)
SHARE = define_share(FLAGS)
flags.mark_flags_as_required(["data", "output"], flag_values=FLAGS)
# Patients of an evaluation that was stopped.
_UNFINISHED = "unfinished.json"
# Fields of a network's record that tell its training.
_TRAINING = ("data_sha256", "folders", "fold", "stages", "steps", "network", "width")
_FILES = ("cases.json", "cases.csv", "table.md", "table.csv")


def execute():
    """Evaluate the model that the flags name."""
    trained_on = read_trained_on(MODEL.value)
    dataset = open_dataset(DATA.value)
    cohort = choose_patients(dataset, trained_on, SPLITS.get(SPLIT.value, SPLIT.value), FOLD.value)
    label_name = dataset.overlap_name(LABEL_NAME.value)
    if warning := cohort.warning(resampled=True):
        logging.warning("%s", warning)
    output = pathlib.Path(OUTPUT.value)
    check_evaluation_folder(output, (*_FILES, _UNFINISHED), _is_evaluation(output))
    with private_files(SHARE.value):
        cli.lock_output(output)
        cli.load_tensorflow()
        from xctrs_tf.ct_segmentation.segmenter import load_segmenter

        with stage("loading the model"):
            segmenter = load_segmenter(MODEL.value)
        print(evaluate_segmenter(segmenter, cohort, output, label_name))


def evaluate_segmenter(segmenter, cohort, output, label_name=None):
    """Evaluate a segmenter on patients; write every file.

    Args:
        segmenter: `xctrs_tf.ct_segmentation.segmenter.Segmenter`.
        cohort: `xctrs_tf.evaluation.cohort.Cohort`.
        output: `pathlib.Path` of the folder to write, which exists.
        label_name: name of the overlap; None for that of the data.

    Returns:
        The tables, as text.

    Raises:
        UserError: the labels were made by this model.
    """
    from xctrs_tf.ct_segmentation.level_evaluation import level_grids, level_lines
    from xctrs_tf.evaluation.patient import write_cases_csv
    from xctrs_tf.evaluation.tables.grids import markdown, text

    dataset, label_name = cohort.dataset, label_name or cohort.dataset.label_name
    _refuse_own_labels(dataset, segmenter.record)
    found = _segment_all(segmenter, cohort, output)
    rows = [each["row"] for each in found]
    origin = provenance.collect(
        n=len(rows),
        seed=None,
        data_hash=dataset.content_hash(),
        split=cohort.split,
        fold=cohort.fold,
        is_training_data=cohort.is_own,
        trained_on=cohort.trained_on,
        trained_on_at_least=cohort.at_least,
        dice_name=label_name,
        sources=dataset.sources(),
        scans=dataset.keeps_scans,
        model=segmenter.record,
        patients=[each["case"] for each in found],
    )
    for name in _FILES:
        (output / name).unlink(missing_ok=True)
    grids = level_grids(rows, label_name)
    notes = "".join(f"{note}\n\n" for note in filter(None, [cohort.warning(resampled=True)]))
    made = f"Made by `{origin['command']}`.\n"
    write_text(output / "table.md", f"{markdown(grids)}\n{notes}{made}")
    with atomic_path(output / "table.csv") as temporary:
        write_csv(temporary, level_lines(rows, label_name))
    # Written last: marks a complete evaluation.
    write_cases_csv(output / "cases.csv", rows, origin)
    (output / _UNFINISHED).unlink(missing_ok=True)
    return "\n\n".join([*map(text, grids), f"{output}/"])


def _is_evaluation(folder):
    """Return True if a folder holds an evaluation, finished or stopped."""
    marks = {"cases.json": "data_hash", _UNFINISHED: "key"}
    return any(mark in _read_record(folder / name) for name, mark in marks.items())


def _read_record(file):
    try:
        return as_dict(read_json(file))
    except (OSError, ValueError):
        return {}


def _segment_all(segmenter, cohort, output):
    """Return figures and findings of all patients; those of a stopped evaluation are taken over."""
    # Only results of the same network and program on the same data.
    made_by = provenance.collect(len(cohort.ids), None, cohort.dataset.content_hash())
    key = {name: made_by[name] for name in ("commit", "versions", "data_hash")}
    key["model"] = segmenter.record
    done = _read_unfinished(output / _UNFINISHED, key)
    for patient in progress_bar(cohort.ids, unit="patient"):
        if patient not in done:
            done[patient] = _segment(segmenter, cohort.dataset.load(patient, with_scan=True))
            write_json(output / _UNFINISHED, {"key": key, "patients": done}, indent=None)
    return [done[patient] for patient in cohort.ids]


def _segment(segmenter, case):
    from xctrs_tf.ct_segmentation.findings import NoCervicalSpine
    from xctrs_tf.ct_segmentation.level_evaluation import (
        describe_case,
        evaluate_levels,
        evaluated_volume,
    )
    from xctrs_tf.ct_segmentation.scan import scan_of

    result, reason = None, ""
    try:
        result = segmenter(scan_of(evaluated_volume(case), f"patient {case.id}"))
    except NoCervicalSpine as error:
        reason = str(error)
    return {"row": evaluate_levels(case, result), "case": describe_case(case, result, reason)}


def _read_unfinished(file, key):
    found = _read_record(file)
    # The key went through JSON, too.
    same = found.get("key") == json.loads(json.dumps(key))
    return as_dict(found.get("patients")) if same else {}


def _refuse_own_labels(dataset, record):
    made_by = as_dict(as_dict(dataset.manifest.get(LABELS_FIELD)).get("model"))

    def agree(*names):
        told = [made_by.get(name) for name in names]
        return None not in told and told == [record.get(name) for name in names]

    def differ(*told):
        return None not in told and told[0] != told[1]

    # Weights of an export in 16 bits are others than those of its run. Two runs may differ by what
    # no record tells, and so may two exports.
    is_one_exported = bool(made_by.get("sha256")) != bool(record.get("sha256"))
    is_same_training = agree(*_TRAINING) and not (
        differ(made_by.get("seed"), record.get("seed"))
        or differ(_augment(made_by), _augment(record))
    )
    if agree("weights_sha256") or (is_one_exported and is_same_training):
        raise UserError(
            f"{dataset.path}: this model made its labels, so that to compare with them tells "
            "nothing; name data with other labels"
        )


def _augment(record):
    return as_dict(record.get("training_films")).get("augment")


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
