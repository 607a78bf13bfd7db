"""Pack a run as a network of experiments.segment that comes with the package.

    python -m experiments.segment.evaluate --model=RUN --data=NECKS --output=FIGURES
    python -m experiments.segment.pack --workdir=RUN --evaluation=FIGURES \\
        --output=xctrs_tf/pretrained/vertebrae64

The first --evaluation must be that of the run's weights on the test patients of the run's own
fold, so that its figures travel with the weights; more of them, as one on phantoms, are
listed beside it. Writes weights in float16 with metadata, model card, licence and notice: the
layout of experiments.export --format=weights.
"""

import pathlib
import sys
import tempfile

from absl import flags

from experiments.common import cli
from experiments.common.shipping import checked_licence, checked_notice, define_licence_flags, ship
from experiments.segment.trained_patients import (
    ALL_LISTED,
    TRAINED_IMAGES,
    earlier_images,
    image_digits,
    read_trained_on,
    trained_in,
)
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.mixture import parse_data
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.patient import mean_figures, read_cases_csv
from xctrs_tf.files import read_json, write_json, write_text
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.pretrained import check_weights_folder, pretrained_folder
from xctrs_tf.training.run_record import read_run_record

MAX_BYTES = 6_000_000

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string("workdir", None, "Run to pack.", flag_values=FLAGS)
EVALUATION = flags.DEFINE_multi_string(
    "evaluation",
    None,
    "Folder of experiments.segment.evaluate; the first one on the run's own test patients.",
    flag_values=FLAGS,
)
OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write; an earlier one is replaced.", flag_values=FLAGS
)
LICENCE, NOTICE = define_licence_flags(FLAGS)
flags.mark_flags_as_required(["workdir", "evaluation", "output"], flag_values=FLAGS)


def execute():
    """Pack the run that the flags name."""
    workdir, output = pathlib.Path(WORKDIR.value), pathlib.Path(OUTPUT.value)
    record = read_run_record(workdir)
    config = record.config
    if config.reconstructs:
        raise UserError(f"{workdir}: reconstructs from films; pack a run of experiments.segment")
    evaluations = [_read_evaluation(pathlib.Path(folder)) for folder in EVALUATION.value]
    _check_own_test(evaluations[0], EVALUATION.value[0], config, record.data_sha256)
    licence = checked_licence(LICENCE.value)
    check_weights_folder(output)
    cli.load_tensorflow("float32")
    held_out = _held_out(workdir, record)
    output.parent.mkdir(parents=True, exist_ok=True)
    with folder_lock(output, beside=True), tempfile.TemporaryDirectory() as scratch:
        size = _write(workdir, scratch, evaluations, held_out, licence, output)
    print(f"{output}: {size / 1e6:.1f} MB of weights")


def _read_evaluation(folder):
    """Return the record of an evaluation with the means of its figures as ``means``."""
    try:
        record = read_json(folder / "cases.json")
        rows = read_cases_csv(folder / "cases.csv")
        kinds = {"model": dict, "split": str, "dice_name": str, "n": int, "sources": list}
        for name, kind in kinds.items():
            if not isinstance(record[name], kind):
                raise ValueError(f"{name} is {record[name]!r:.40}")
        if len(rows) != record["n"]:
            raise ValueError(f"{len(rows)} of {record['n']} patients")
        record["means"] = mean_figures(rows)
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename}: missing; run experiments.segment.evaluate first"
        ) from error
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{folder}: no evaluation, or damaged ({error}); run experiments.segment.evaluate again"
        ) from error
    return record


def _check_own_test(record, folder, config, data_sha256):
    asked = {"data_hash": data_sha256, "split": "test", "fold": config.fold}
    # It is not known where an earlier training was on data that are not at hand.
    unseen = record.get("trained_on") in (0, None)
    if not unseen or any(record.get(name) != value for name, value in asked.items()):
        raise UserError(
            f"--evaluation={folder}: not of the test patients of fold {config.fold} of the run's "
            "data; run experiments.segment.evaluate --split=test on it, and name that first"
        )


def _held_out(workdir, record):
    """Return ids of the held-out patients, and hashes of the scans of the training patients."""
    config = record.config
    folders = list(map(open_dataset, _folders(config)))
    trained_on = read_trained_on(workdir)
    for dataset, training in zip(folders, trained_on.trainings, strict=False):
        if not training.is_on(dataset):
            raise UserError(
                f"{dataset.path}: has changed since {workdir} was trained on it, its folds too "
                "perhaps; train again"
            )
    # Of an earlier training the patients are known if they are in one of these folders, or where
    # it made a packed network, which lists them.
    earlier, is_complete = earlier_images(record, folders)
    images = [
        image_digits(
            dataset, {*dataset.split(config.fold).training, *trained_in(dataset, trained_on)}
        )
        for dataset in folders
    ]
    # Validation and test patients of a run are those of its first folder.
    first = folders[0].split(config.fold)
    return {
        "held_out": {"validation": first.validation, "test": first.test},
        TRAINED_IMAGES: None if None in images else sorted(earlier.union(*images)),
        ALL_LISTED: is_complete,
    }


def _folders(config):
    return [each.path for each in parse_data(config.data)]


def _write(workdir, scratch, evaluations, held_out, licence, output):
    """Write a packed network; return the bytes of its weights."""
    from xctrs_tf.ct_segmentation.segmentation_network import weights_sha256
    from xctrs_tf.export.model_card import model_card
    from xctrs_tf.export.saved_model import export_run
    from xctrs_tf.reconstruction.export_files import METADATA, MODEL_CARD, read_metadata
    from xctrs_tf.training.run import load_run

    run = load_run(workdir, precision="float32")
    _check_weights(evaluations, weights_sha256(run.segmentation))
    folder = export_run(run, scratch, quantize="float16", file_format="weights")
    metadata = read_metadata(folder)
    if metadata["data"] is None:
        raise UserError(f"{workdir}: its data are gone or changed; the figures would be of others")
    metadata |= {**held_out, "metrics": _metrics(evaluations[0])}
    metadata["evaluations"] = [_metrics(record) for record in evaluations]
    write_json(folder / METADATA, metadata)
    write_text(folder / MODEL_CARD, model_card(metadata))
    notice = checked_notice(NOTICE.value, pretrained_folder("vertebrae64"), metadata)
    return ship(folder, licence, notice, MAX_BYTES, output)


def _check_weights(evaluations, sha256):
    for folder, evaluation in zip(EVALUATION.value, evaluations, strict=True):
        if evaluation["model"].get("weights_sha256") != sha256:
            raise UserError(
                f"--evaluation={folder}: of other weights than the best ones of the run now; run "
                "experiments.segment.evaluate again"
            )


def _metrics(record):
    return {
        "means": record["means"],
        "patients": record["n"],
        "split": record["split"],
        "dice_name": record["dice_name"],
        "sources": record["sources"],
        "trained_on": record.get("trained_on"),
        "program": "experiments.segment.evaluate",
        "commit": record.get("commit"),
        "date": record.get("date"),
    }


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
