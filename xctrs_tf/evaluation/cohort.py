"""Patients of an evaluation, and what they are to the model: trained on, held out, or others."""

import dataclasses

from xctrs_tf.data.dataset import Dataset, open_dataset
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.mean_volume import mean_volume
from xctrs_tf.files import as_dict, as_list
from xctrs_tf.geometry import is_same_spacing
from xctrs_tf.training.run_record import split_hash_in

ALL = "all"
# The ``source`` of synthetic patients, which are no patient of another source.
_PHANTOM = "phantom"


@dataclasses.dataclass(frozen=True)
class Training:
    """Record of what a network was trained on.

    Attributes:
        data_sha256: content hash of the data folder; None if it is not known.
        fold: whose test patients were held out; None if it is not known.
        data: path of the data folder; None if it is not known.
        split_sha256: hash of the patients held out; None if it is not known.
        spacing_mm: voxel size; None if it is not known, or that of the data folder.
        phantoms: True if all patients of the data are phantoms.
        takes_films: True for a network that gets films.
        films: `FilmSimulation` of its films; None if it is not known, or that of the data folder.
        further: tuple of `Training` of the same network on other data: further folders,
            and trainings that it began with.
    """

    data_sha256: str | None
    fold: int | None
    data: str | None = None
    split_sha256: str | None = None
    spacing_mm: float | None = None
    phantoms: bool = False
    takes_films: bool = False
    films: FilmSimulation | None = None
    further: tuple = ()

    def is_on(self, dataset):
        """Return whether this is the data, dealt to the same folds, that the network saw."""
        return self.fold is not None and dataset.is_data_of(
            self.data_sha256, self.fold, self.split_sha256
        )

    def fold_in(self, dataset):
        """Return the fold of these data that the network was trained on; None if there is none."""
        if self.is_on(dataset):
            return self.fold
        if self.split_sha256 is None or dataset.content_hash() != self.data_sha256:
            return None
        # Of these data in another fold.
        return dataset.fold_with(self.split_sha256)

    def located(self, paths):
        """Return the training with the folders of data that are at hand.

        Args:
            paths: dict from the content hash of a data folder to its path.
        """
        further = tuple(each.located(paths) for each in self.further)
        path = paths.get(self.data_sha256, self.data)
        return dataclasses.replace(self, data=path, further=further)

    def open(self, dataset):
        """Return the training data: ``dataset`` if it is that, else its folder, or None."""
        if self.is_on(dataset):
            return dataset
        if not self.data or self.fold is None:
            return None
        try:
            found = open_dataset(self.data)
        except UserError:
            return None
        return found if self.is_on(found) else None


def training_of(fold, folders, stages=(), paths=(), spacing_mm=None):
    """Make the `Training` of a network from what its config.json or metadata.json tells.

    Args:
        fold: that it was trained on.
        folders: list of dicts, one for each data folder, the first with its test patients:
            ``data_sha256``, ``split_sha256`` and ``sources``, as far as they are told.
        stages: list of dicts of the trainings that it began with, each with ``folders``.
        paths: of the data folders, as far as they are known.
        spacing_mm: voxel size, if it is known.

    Returns:
        `Training`.
    """
    paths = dict(enumerate(paths))
    first, *others = (
        _folder_training(folder, fold, paths.get(number)) for number, folder in enumerate(folders)
    )
    # A stage does not tell where its folders are; some may be those of the last training.
    known = {each.data_sha256: each.data for each in (first, *others)}
    for stage in map(as_dict, stages):
        of_stage = as_list(stage.get("folders"))
        fold_of_stage = stage.get("fold") if type(stage.get("fold")) is int else None
        # A file of weights does not tell its data.
        others += [_folder_training(each, fold_of_stage) for each in of_stage] or [
            Training(None, None)
        ]
    others = [dataclasses.replace(each, data=known.get(each.data_sha256)) for each in others]
    # Earlier versions do not tell the folds of a stage; it was then on those of the last.
    if first.split_sha256 is None:
        others = [each for each in others if each.data_sha256 != first.data_sha256]
    return dataclasses.replace(first, spacing_mm=spacing_mm, further=tuple(dict.fromkeys(others)))


def _folder_training(folder, fold, path=None):
    folder = as_dict(folder)
    sha256, sources = folder.get("data_sha256"), as_list(folder.get("sources"))
    kinds = {as_dict(source).get("source") for source in sources}
    return Training(
        sha256 if isinstance(sha256, str) else None,
        fold,
        path,
        split_hash_in([folder]),
        phantoms=kinds == {_PHANTOM},
    )


@dataclasses.dataclass(frozen=True)
class Cohort:
    """Patients of an evaluation.

    Attributes:
        dataset: `Dataset` that they are in.
        ids: list of their ids.
        split: name of a list of `Split`, or ``"all"``.
        fold: of the split; None for all patients.
        trainings: tuple of `Training` of the model.
        is_own: the data is that which all networks were trained on.
        trained_on: how many of the patients are training patients of the model; None if that
            is not known.
        at_least: True if they may be more.
    """

    dataset: Dataset
    ids: list
    split: str
    fold: int | None
    trainings: tuple
    is_own: bool
    trained_on: int | None
    at_least: bool = False

    @property
    def is_own_test(self):
        """True for the test patients of the fold that the networks were trained without."""
        folds = {training.fold for training in self.trainings}
        return self.is_own and self.split == "test" and folds == {self.fold}

    def warning(self, resampled=False):
        """Return what is to be known of the figures, in one line; None for unseen patients.

        Args:
            resampled: whether the model gets voxels of its own size, whatever those of the data.
        """
        count = len(self.ids)
        some = f"{'at least ' if self.at_least else ''}{self.trained_on} of these {count}"
        if self.is_own:
            if self.trained_on == 0:
                return None
            if self.trained_on is None:
                return (
                    "whether the model has seen some of these patients is not known: it was "
                    "trained on other data, too, or began with trained weights"
                )
            return (
                f"{some} patients are training patients of the model: the figures are not those "
                "of unseen patients"
            )
        known = {
            None: "whether some of its patients are among the training patients is not known",
            0: "none of its scans is that of a training patient",
        }
        seen = known.get(self.trained_on, f"{some} scans are those of training patients, too")
        content = self.dataset.content_hash()
        if any(training.data_sha256 == content for training in self.trainings):
            # Most of them, then, are training patients.
            which = "dealt to other folds than when the model was trained on it"
        else:
            which = "not the data that the model was trained on"
        voxels = "" if resampled else self._other_voxels()
        return f"{self.dataset.path}: {which}; {seen}{voxels}{self._other_films()}"

    def _other_voxels(self):
        """Return a warning of other voxels than those of the training, or nothing."""
        ours = self.dataset.spacing_mm
        for training in self.trainings:
            found = training.spacing_mm or getattr(training.open(self.dataset), "spacing_mm", ours)
            if not is_same_spacing(found, ours):
                return (
                    f"; its voxels of {ours:g} mm are not those of the training data of {found:g} "
                    f"mm, so that everything has another size to the model: prepare it with "
                    f"--spacing_mm={found:g}"
                )
        return ""

    def _other_films(self):
        """Return a warning of films that were made in another way, or nothing."""
        for training in self.trainings:
            if not training.takes_films:
                continue
            data = None if training.films else training.open(self.dataset)
            theirs = data.films if data else training.films
            if theirs and (differing := self.dataset.films.differences(theirs)):
                return (
                    "; its films are made otherwise than those of the training data: "
                    f"{', '.join(differing)}"
                )
        return ""

    def mean_volume(self):
        """Return the mean volume of the model's training patients and their number.

        Returns:
            `MeanVolume` and int; None and 0 where the training data is not at hand, or the
            networks were trained on several folds.
        """
        trained_on = {(each.data_sha256, each.fold, each.split_sha256) for each in self.trainings}
        if len(trained_on) > 1:
            return None, 0
        found = self.trainings[0].open(self.dataset)
        if found is None or found.size != self.dataset.size:
            return None, 0
        patients = found.split(self.trainings[0].fold).training
        return mean_volume(found, patients), len(patients)


def choose_cohort(dataset, trainings, split=None, fold=None):
    """Choose the patients of an evaluation.

    Args:
        dataset: `Dataset`.
        trainings: list of `Training`, one for each network or model.
        split: name of a list of `Split`, or ``"all"``. By default the test patients of the
            training data, and all patients of other data.
        fold: of the split; by default that of the model, and 0 for other data.

    Returns:
        `Cohort`.

    Raises:
        UserError: there is no such fold or no patient in that part of it, or a fold is named
            for all patients.
    """
    is_own = all(training.is_on(dataset) for training in trainings)
    split = split or ("test" if is_own else ALL)
    if split == ALL:
        if fold is not None:
            raise UserError(f"--fold={fold}: --split=all takes the patients of all folds")
        ids = dataset.ids
    else:
        fold = _fold(trainings, is_own) if fold is None else fold
        ids = getattr(dataset.split(fold), split)
        if not ids:
            raise UserError(f"{dataset.path}: fold {fold} has no {split} patients; try --split=all")
    trained, is_known = trained_patients(dataset, ids, trainings)
    trained_on = len(trained) if is_known else None
    return Cohort(dataset, list(ids), split, fold, tuple(trainings), is_own, trained_on)


def _fold(trainings, is_own):
    folds = {training.fold for training in trainings}
    if not is_own:
        return 0
    if len(folds) > 1:
        numbers = ", ".join(map(str, sorted(folds)))
        raise UserError(f"--fold: the models were trained on the folds {numbers}; name one")
    return folds.pop()


def trained_patients(dataset, ids, trainings):
    """Find the patients that a network was trained on.

    Args:
        dataset: `Dataset`.
        ids: of its patients.
        trainings: list of `Training`, one for each network or model.

    Returns:
        Set of those of the ids that a network was trained on, as far as it is known; and
        whether it is known of all.
    """
    seen, trained, is_known = set(), [], True
    for training in (each for first in trainings for each in (first, *first.further)):
        if (fold := training.fold_in(dataset)) is not None:
            # In one folder the id tells as much as the CT.
            seen.update(dataset.split(fold).training)
        elif (data := training.open(dataset)) is not None:
            trained += map(data.identity, data.split(training.fold).training)
        elif not training.phantoms or any(each["source"] == _PHANTOM for each in dataset.sources()):
            is_known = False
    own = {patient: dataset.identity(patient) if trained else set() for patient in ids}
    # Folders of earlier versions do not tell.
    if trained and not all((*trained, *own.values())):
        is_known = False
    hashes = set().union(*trained)
    return {each for each in ids if each in seen or own[each] & hashes}, is_known
