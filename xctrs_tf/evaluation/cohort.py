"""Patients of an evaluation, and what they are to the model: trained on, held out, or others."""

import dataclasses
import math

from xctrs_tf.data.dataset import Dataset, open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.mean_volume import mean_volume

ALL = "all"
# Voxel sizes that differ by less, as a fraction, count as equal.
_SAME_SPACING = 0.01


@dataclasses.dataclass(frozen=True)
class Training:
    """Record of what a network was trained on.

    Attributes:
        data_sha256: content hash of the data folder; None if it is not known.
        fold: whose test patients were held out; None if it is not known.
        data: path of the data folder; None if it is not known.
        split_sha256: hash of the patients held out; None if it is not known.
        spacing_mm: voxel size; None if it is not known, or that of the data folder.
    """

    data_sha256: str | None
    fold: int | None
    data: str | None = None
    split_sha256: str | None = None
    spacing_mm: float | None = None

    def is_on(self, dataset):
        """Return whether this is the data, dealt to the same folds, that the network saw."""
        return self.fold is not None and dataset.is_data_of(
            self.data_sha256, self.fold, self.split_sha256
        )

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
    """

    dataset: Dataset
    ids: list
    split: str
    fold: int | None
    trainings: tuple
    is_own: bool
    trained_on: int | None

    @property
    def is_own_test(self):
        """True for the test patients of the fold that the networks were trained without."""
        folds = {training.fold for training in self.trainings}
        return self.is_own and self.split == "test" and folds == {self.fold}

    def warning(self):
        """Return what is to be known of the figures, in one line; None for unseen patients."""
        count = len(self.ids)
        if self.is_own:
            if not self.trained_on:
                return None
            return (
                f"{self.trained_on} of these {count} patients are training patients of the model: "
                "the figures are not those of unseen patients"
            )
        known = {
            None: "whether some of its patients are among the training patients is not known",
            0: "none of its scans is that of a training patient",
        }
        seen = known.get(
            self.trained_on,
            f"{self.trained_on} of these {count} scans are those of training patients, too",
        )
        content = self.dataset.content_hash()
        if any(training.data_sha256 == content for training in self.trainings):
            # Most of them, then, are training patients.
            which = "dealt to other folds than when the model was trained on it"
        else:
            which = "not the data that the model was trained on"
        return f"{self.dataset.path}: {which}; {seen}{self._other_voxels()}"

    def _other_voxels(self):
        """Return a warning of other voxels than those of the training, or nothing."""
        ours = self.dataset.spacing_mm
        for training in self.trainings:
            found = training.spacing_mm or getattr(training.open(self.dataset), "spacing_mm", ours)
            if not math.isclose(found, ours, rel_tol=_SAME_SPACING):
                return (
                    f"; its voxels of {ours:g} mm are not those of the training data of {found:g} "
                    f"mm, so that everything has another size to the model: prepare it with "
                    f"--spacing_mm={found:g}"
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
    trained_on = _count_trained(dataset, ids, trainings)
    return Cohort(dataset, list(ids), split, fold, tuple(trainings), is_own, trained_on)


def _fold(trainings, is_own):
    folds = {training.fold for training in trainings}
    if not is_own:
        return 0
    if len(folds) > 1:
        numbers = ", ".join(map(str, sorted(folds)))
        raise UserError(f"--fold: the models were trained on the folds {numbers}; name one")
    return folds.pop()


def _count_trained(dataset, ids, trainings):
    """Count the patients that a network was trained on, by their CTs; None if it is not known."""
    found = [(training.open(dataset), training.fold) for training in trainings]
    if any(data is None for data, _ in found):
        return None
    hashes = {dataset.content_hash(), *(data.content_hash() for data, _ in found)}

    def image(data, patient):
        # In one folder the id tells as much.
        return patient if len(hashes) == 1 else data.image_sha256(patient)

    seen = {image(data, patient) for data, fold in found for patient in data.split(fold).training}
    images = [image(dataset, patient) for patient in ids]
    # Folders of earlier versions have no hashes of the scans.
    if None in seen or None in images:
        return None
    return sum(each in seen for each in images)
