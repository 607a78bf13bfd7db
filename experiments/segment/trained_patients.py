"""Training data of a segmentation network, and the patients of an evaluation that are in it."""

import dataclasses
import pathlib

from xctrs_tf.data.dataset.mixture import parse_data
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, choose_cohort
from xctrs_tf.files import as_dict, read_json
from xctrs_tf.pretrained import SEGMENTERS, pretrained_folder
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.training.run_record import read_run_record, split_hash_in

# Field of metadata.json with the hashes of the training patients' scans, and how much of each.
TRAINED_IMAGES = "trained_images"
_DIGITS = 16


@dataclasses.dataclass(frozen=True)
class TrainedOn:
    """Training data of a network.

    Attributes:
        trainings: tuple of `Training`, one for each data folder, at least one.
        images: set of the first digits of the hashes of the training patients' scans, where
            the model tells them; else None.
    """

    trainings: tuple
    images: frozenset | None = None


def read_trained_on(model):
    """Read what a network was trained on.

    Args:
        model: name of `pretrained.SEGMENTERS`, run folder of experiments.train, or folder of an
            exported model.

    Returns:
        `TrainedOn`.

    Raises:
        UserError: there is no such model, or its description is damaged.
    """
    folder = pretrained_folder(model) if model in SEGMENTERS else pathlib.Path(model)
    if not folder.is_dir():
        raise UserError(
            f"--model={model}: no such folder; name a run of experiments.train, an exported model, "
            f"or {', '.join(SEGMENTERS)}"
        )
    if (folder / "config.json").is_file():
        return _of_run(folder)
    return _of_metadata(find_export(folder).metadata)


def image_digits(dataset, patients):
    """Return the first digits of the hashes of patients' scans, for `TRAINED_IMAGES`.

    Args:
        dataset: `Dataset`.
        patients: iterable of ids.

    Returns:
        Set of str; None where one has no hash, as in folders of earlier versions.
    """
    hashes = list(map(dataset.image_sha256, patients))
    return None if None in hashes else {sha256[:_DIGITS] for sha256 in hashes}


def choose_patients(dataset, trained_on, split=None, fold=None):
    """Choose the patients of an evaluation, and count those that the network was trained on.

    Args:
        dataset: `Dataset`.
        trained_on: `TrainedOn`.
        split: as of `choose_cohort`.
        fold: as of `choose_cohort`.

    Returns:
        `Cohort`. Any of the folders that the network was trained on is its training data.

    Raises:
        UserError: as `choose_cohort`.
    """
    own = [training for training in trained_on.trainings if training.is_on(dataset)]
    cohort = choose_cohort(dataset, own or trained_on.trainings, split, fold)
    return dataclasses.replace(cohort, trained_on=_count(dataset, cohort.ids, own, trained_on))


def _of_run(folder):
    record = read_run_record(folder)
    paths = [each.path for each in parse_data(record.config.data)]
    # Runs of earlier versions tell the first folder only.
    told = read_json(folder / "config.json").get("folders")
    told = [as_dict(each) for each in told or [{"data_sha256": record.data_sha256}]]
    return TrainedOn(
        tuple(
            Training(each.get("data_sha256"), record.config.fold, path, split_hash_in(told, number))
            for number, (each, path) in enumerate(zip(told, paths, strict=False))
        )
    )


def _of_metadata(metadata):
    """Return what an exported model says of its training, which nobody has checked."""
    fold = as_dict(metadata.get("training")).get("fold")
    told = metadata.get("folders")
    folders = list(map(as_dict, told)) if isinstance(told, list) and told else [metadata]
    known = type(fold) is int and fold >= 0
    known = known and all(isinstance(each.get("data_sha256"), str) for each in folders)
    images = metadata.get(TRAINED_IMAGES)
    return TrainedOn(
        tuple(
            Training(each["data_sha256"], fold, split_sha256=split_hash_in(folders, number))
            for number, each in enumerate(folders)
        )
        if known
        else (Training(None, None),),
        frozenset(map(str, images)) if isinstance(images, list) and images else None,
    )


def _count(dataset, ids, own, trained_on):
    """Count the patients that the network was trained on; None if it is not known."""
    trained = {patient for training in own for patient in dataset.split(training.fold).training}
    images = trained_on.images or _images(dataset, trained_on.trainings)
    shown = {patient: image_digits(dataset, [patient]) for patient in ids}
    if images is None or None in shown.values():
        # In the training data itself the ids tell.
        return sum(patient in trained for patient in ids) if own else None
    return sum(patient in trained or shown[patient] <= images for patient in ids)


def _images(dataset, trainings):
    """Gather the scans of all training patients; None where they are not known."""
    found = set()
    for training in trainings:
        data = training.open(dataset)
        digits = data and image_digits(data, data.split(training.fold).training)
        if digits is None:
            return None
        found |= digits
    return found
