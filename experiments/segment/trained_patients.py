"""Training data of a segmentation network, and the patients of an evaluation that are in it."""

import dataclasses
import pathlib

from xctrs_tf.data.dataset.mixture import parse_data
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, choose_cohort, training_of
from xctrs_tf.files import as_dict, as_list
from xctrs_tf.pretrained import SEGMENTERS, pretrained_folder
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.training.run_record import read_run_record

# Fields of metadata.json: the hashes of the training patients' scans, and whether they are all.
TRAINED_IMAGES, ALL_LISTED = "trained_images", "trained_images_complete"
# How much of each hash is listed.
_DIGITS = 16


@dataclasses.dataclass(frozen=True)
class TrainedOn:
    """Training data of a network.

    Attributes:
        trainings: tuple of `Training`, one for each data folder, at least one. The other folders
            and the trainings that the network began with are ``further`` of each.
        images: set of the first digits of the hashes of the training patients' scans, where
            the model tells them; else None.
        is_complete: False if training patients may be missing among ``images``.
    """

    trainings: tuple
    images: frozenset | None = None
    is_complete: bool = True


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
    """Return the first digits of the hashes that tell patients, for `TRAINED_IMAGES`.

    Args:
        dataset: `Dataset`.
        patients: iterable of ids.

    Returns:
        Set of str; None where one has no hash, as in folders of earlier versions.
    """
    found = list(map(dataset.identity, patients))
    return {sha256[:_DIGITS] for sha256 in set().union(*found)} if all(found) else None


def choose_patients(dataset, trained_on, split=None, fold=None):
    """Choose the patients of an evaluation, and count those that the network was trained on.

    Args:
        dataset: `Dataset`.
        trained_on: `TrainedOn`.
        split: as of `choose_cohort`.
        fold: as of `choose_cohort`.

    Returns:
        `Cohort`. Any of the folders of the network's last training is its training data; of
        the earlier trainings, too, the patients count.

    Raises:
        UserError: as `choose_cohort`.
    """
    own = [training for training in trained_on.trainings if training.is_on(dataset)]
    cohort = choose_cohort(dataset, own or trained_on.trainings, split, fold)
    shown = {patient: image_digits(dataset, [patient]) for patient in cohort.ids}
    if trained_on.images is None or None in shown.values():
        return cohort
    # In the training data itself the ids tell, too.
    trained = trained_in(dataset, trained_on)
    seen = [
        patient in trained or bool(shown[patient] & trained_on.images) for patient in cohort.ids
    ]
    # An incomplete list is enough where all trainings are known without it.
    if trained_on.is_complete or cohort.trained_on is not None or all(seen):
        return dataclasses.replace(cohort, trained_on=sum(seen))
    # The others may be patients who are not listed.
    return dataclasses.replace(cohort, trained_on=sum(seen) or None, at_least=True)


def earlier_images(record, folders):
    """Return what packed networks list of the patients that a run began with.

    Args:
        record: `RunRecord` of the run.
        folders: list of `Dataset`, the data folders of the run.

    Returns:
        Set of str as of `image_digits`, and whether no patient of an earlier training is in
        neither this list nor the folders.
    """
    # It imports Keras.
    from xctrs_tf.training.run_folder import earlier_stages

    images, listed = set(), []
    for source in record.config.initial_sources:
        try:
            known, stages = read_trained_on(source), earlier_stages([source])
        # The source is gone, or no packed network.
        except UserError:
            continue
        images |= known.images or set()
        listed += stages if known.images and known.is_complete else []
    # The source may be another one by now.
    others = [stage for stage in record.stages if stage not in listed]
    unknown = [
        training
        for training in training_of(record.config.fold, record.folders, others).further
        if all(training.fold_in(folder) is None for folder in folders)
    ]
    return images, not unknown


def trained_in(dataset, trained_on):
    """Return the patients of one data folder that a network was trained on.

    Args:
        dataset: `Dataset`.
        trained_on: `TrainedOn`.

    Returns:
        Set of ids; empty for data that no training names.
    """
    first = trained_on.trainings[0]
    folds = (training.fold_in(dataset) for training in (first, *first.further))
    return {
        patient for fold in folds if fold is not None for patient in dataset.split(fold).training
    }


def _of_run(folder):
    record = read_run_record(folder)
    paths = [each.path for each in parse_data(record.config.data)]
    return TrainedOn(_trainings(record.config.fold, record.folders, record.stages, paths))


def _of_metadata(metadata):
    """Return what an exported model says of its training, which nobody has checked."""
    fold = as_dict(metadata.get("training")).get("fold")
    folders = list(map(as_dict, as_list(metadata.get("folders")))) or [metadata]
    known = type(fold) is int and fold >= 0
    known = known and all(isinstance(each.get("data_sha256"), str) for each in folders)
    trainings = (Training(None, None),)
    if known:
        trainings = _trainings(fold, folders, as_list(metadata.get("stages")))
    images, is_complete = metadata.get(TRAINED_IMAGES), metadata.get(ALL_LISTED)
    if is_complete is None:
        # Earlier versions listed the patients of their folders, phantoms without their numbers.
        listed = {each.data_sha256 for each in trainings if not each.phantoms}
        is_complete = known and listed.issuperset(
            each.data_sha256 for each in (*trainings, *trainings[0].further)
        )
    return TrainedOn(
        trainings,
        frozenset(map(str, images)) if isinstance(images, list) and images else None,
        is_complete is True,
    )


def _trainings(fold, folders, stages, paths=()):
    """Return the `Training` of each data folder, with all others as ``further``."""
    own = [
        training_of(fold, [folder], paths=paths[number : number + 1])
        for number, folder in enumerate(folders)
    ]
    every = dict.fromkeys([*own, *training_of(fold, folders, stages, paths).further])
    return tuple(
        dataclasses.replace(one, further=tuple(each for each in every if each != one))
        for one in own
    )
