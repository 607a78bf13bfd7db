"""Description of an exported model: metadata.json."""

import json
import logging
import pathlib

from xctrs_tf import provenance
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.evaluated_run import run_name
from xctrs_tf.evaluation.patient import mean_figures
from xctrs_tf.files import as_dict, read_csv, read_json
from xctrs_tf.quality.reference import check_reference
from xctrs_tf.reconstruction.export_files import CLASSES, EXPORT_FORMAT
from xctrs_tf.style import NOTICE
from xctrs_tf.training.config.field_kinds import NAMES_OF_FILES
from xctrs_tf.training.frozen_reconstruction import copied_run
from xctrs_tf.training.run_folder import earlier_stages
from xctrs_tf.training.run_record import read_run_record


def describe_run(run):
    """Return the fields of metadata.json that come from the run's folder and its data.

    Args:
        run: `xctrs_tf.training.run.Run`.

    Returns:
        Dict of JSON values.

    Raises:
        UserError: quality.json or the evaluation in the run's folder is damaged.
    """
    trained = read_run_record(run.path)
    record = read_json(run.path / "config.json")
    # Paths belong to the training machine.
    training = {k: v for k, v in run.config.to_json().items() if k not in NAMES_OF_FILES}
    training["vgg_weights"] = pathlib.PurePath(run.config.vgg_weights).name
    dataset = _open_training_data(trained)
    return {
        "format": EXPORT_FORMAT,
        "notice": NOTICE,
        "frame": "LPS: x grows to the patient's left, y to posterior, z to superior",
        "size": run.config.size,
        "spacing_mm": dataset and dataset.spacing_mm,
        "window_hu": list(WINDOW_HU),
        "film_normalization": run.config.film_normalization,
        "classes": None if run.segmentation is None else CLASSES,
        "networks": {
            task: None if network is None else network.name
            for task, network in (
                ("reconstruction", run.reconstruction),
                ("segmentation", run.segmentation),
            )
        },
        "training": training,
        "method": run_name(run),
        "step": run.step,
        # Empty for runs of earlier versions.
        "folders": record.get("folders", []),
        "stages": _stages(run, record.get("stages", [])),
        "data": dataset and _describe_data(dataset, run.config.fold),
        "data_sha256": trained.data_sha256,
        "metrics": _read_metrics(run, trained.data_sha256),
        "quality": _read_quality(run),
        "versions": provenance.versions(),
    }


def _stages(run, earlier):
    """Return earlier trainings, with those of the finished reconstruction that a run builds on."""
    if not run.config.reconstruction_run:
        return earlier
    below = earlier_stages([str(copied_run(run.path))])
    # First weights may come from a run that builds on the same reconstruction.
    return [*below, *(stage for stage in earlier if stage not in below)]


def _open_training_data(trained):
    """Open the data of a `RunRecord`; return None if the folder is missing or changed."""
    path = trained.config.data_folder
    try:
        dataset = open_dataset(path)
    except UserError:
        dataset = None
    if dataset is None or not trained.is_on(dataset):
        logging.warning(
            "%s is no longer the run's data: the export has no voxel size, source and licence", path
        )
        return None
    return dataset


def _describe_data(dataset, fold):
    split = dataset.split(fold)
    return {
        "sources": dataset.sources(),
        "projection": dataset.manifest.get("projection"),
        "label_name": dataset.label_name,
        "patients": {
            part: len(getattr(split, part)) for part in ("training", "validation", "test")
        },
    }


def _read_metrics(run, data_sha256):
    """Read the means of experiments.evaluate, if they belong to these weights and data."""
    cases = run.path / "evaluation" / "cases.csv"
    if not cases.is_file():
        return None
    try:
        origin = read_json(cases.with_suffix(".json"))
        if not _is_of_test_patients(origin, run, data_sha256):
            logging.warning(
                "%s: of other weights or data, or not of the run's own test patients by the model "
                "alone: the export has no metrics; run experiments.evaluate --workdir=%s for those "
                "of the best weights",
                cases,
                run.path,
            )
            return None
        rows = read_csv(cases)
        # Older evaluations do not tell it; None is not known.
        seen = {"trained_on": origin["trained_on"]} if "trained_on" in origin else {}
        return {
            "means": mean_figures(rows),
            "patients": len(rows),
            "split": origin["split"],
            "dice_name": origin["dice_name"],
            "program": "experiments.evaluate",
            "commit": origin["commit"],
            "date": origin["date"],
            **seen,
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{cases}: damaged; run experiments.evaluate again") from error


def _is_of_test_patients(origin, run, data_sha256):
    """Return whether an evaluation is that of a run's weights on the patients held out from it."""
    # Evaluations of earlier versions were all of the run's fold and without mirroring.
    own = (run.step, data_sha256, "test", run.config.fold, False)
    fold, mirror = origin.get("fold", run.config.fold), origin.get("mirror", False)
    # By an earlier stage of the training, perhaps.
    if origin.get("trained_on"):
        return False
    # Evaluations of earlier versions do not tell it.
    if origin.get("weights_sha256") not in (None, run.weights_sha256):
        return False
    return (origin["step"], origin["data_hash"], origin["split"], fold, mirror) == own


def _read_quality(run):
    """Read the result of experiments.calibrate; return None without one for these weights."""
    file = run.path / "quality.json"
    try:
        reference = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: damaged; run experiments.calibrate again") from error
    check_reference(reference, file)
    origin = as_dict(reference.get("origin"))
    # Earlier calibrations do not tell it; those of an exported model have null.
    if "weights_sha256" in origin and origin["weights_sha256"] != run.weights_sha256:
        logging.warning(
            "%s: of %s: the export has no quality checks; run experiments.calibrate --workdir=%s",
            file,
            "other weights" if origin["weights_sha256"] else "an exported model",
            run.path,
        )
        return None
    return reference
