"""The prepared data folder: one file per patient and a manifest (docs/architecture.md)."""

import collections
import dataclasses
import hashlib
import math
import pathlib
import statistics
import zipfile

import numpy as np

from xctrs_tf.data.dataset.manifest import (
    DEFAULT_LABEL_NAME,
    LABELS_FIELD,
    MANIFEST,
    MODEL_MADE,
    are_model_made,
    check_folds,
    check_model_made,
    identity_of,
    read_manifest,
)
from xctrs_tf.data.dataset.patient_file import patient_path, read_patient, verified_content
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS


@dataclasses.dataclass(frozen=True)
class Case:
    """A prepared patient: CT, labels and films of the networks' cube.

    Attributes:
        id: name of the patient, unique in the folder.
        ct: int16 CT numbers ``[x, y, z]`` in HU.
        segmentation: uint8 labels ``[x, y, z]``, 1..7 = C1..C7.
        ap: float32 line integrals ``[x, z]``.
        la: float32 line integrals ``[y, z]``.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        scan: int16 CT numbers of all that films can show, on a grid that continues that of
            ``ct``; None where it was not prepared or not loaded.
        scan_start: index of the scan's first voxel, counted from that of ``ct``; three zeros
            without a scan.
    """

    id: str
    ct: np.ndarray
    segmentation: np.ndarray
    ap: np.ndarray
    la: np.ndarray
    spacing_mm: float
    origin_mm: tuple
    scan: np.ndarray | None = None
    scan_start: tuple = (0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Split:
    """Patient ids of one cross-validation fold; no id is in two lists."""

    training: list
    validation: list
    test: list


def network_arrays(case, film_normalization="percentile"):
    """Return a patient's arrays scaled for the networks.

    Args:
        case: a `Case`.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`.

    Returns:
        Dict of ``ap`` and ``la`` ``(size, size, 1)`` and ``ct`` ``(size, size,
        size, 1)``, float32 in [0, 1], and ``segmentation`` uint8 ``(size, size,
        size)``.

    Raises:
        UserError: a film shows nothing.
    """
    try:
        films = {v: normalise_film(getattr(case, v), film_normalization) for v in VIEWS}
    except UserError as error:
        raise UserError(f"patient {case.id}: {error}") from error
    return {
        **{view: film[..., np.newaxis] for view, film in films.items()},
        "ct": normalise_hu(case.ct)[..., np.newaxis],
        "segmentation": case.segmentation,
    }


def open_dataset(path):
    """Open a folder that `experiments.prepare` made.

    Args:
        path: the folder.

    Returns:
        `Dataset`.

    Raises:
        UserError: the folder is absent or unfinished, or lacks a patient's file.
    """
    path = pathlib.Path(path)
    manifest = read_manifest(path / MANIFEST)
    check_folds(path / MANIFEST, manifest)
    dataset = Dataset(path, manifest)
    for patient in dataset.ids:
        file = patient_path(path, patient)
        if not file.is_file():
            raise UserError(f"{file}: missing; run experiments.prepare again")
        try:
            with file.open("rb") as stream:
                whole = zipfile.is_zipfile(stream)
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror})") from error
        if not whole:
            raise UserError(f"{file}: damaged; run experiments.prepare again")
    return dataset


class Dataset:
    """A prepared data folder, read only.

    Attributes:
        path: the folder.
        manifest: the manifest as a dict.
        size: voxels a side.
        ids: patient ids in the manifest's order.
    """

    def __init__(self, path, manifest):
        self.path = path
        self.manifest = manifest
        self.size = manifest["size"]
        self._records = {record["id"]: record for record in manifest["patients"]}
        self.ids = list(self._records)

    @property
    def spacing_mm(self):
        """Median of the patients' voxel sizes in mm; a patient may have their own."""
        return float(statistics.median(p["spacing_mm"] for p in self.manifest["patients"]))

    @property
    def keeps_scans(self):
        """True if the folder was prepared with the scans around the crops."""
        return bool(self.manifest.get("keep_scan"))

    @property
    def films(self):
        """`FilmSimulation` of its films, with seed 0."""
        return FilmSimulation.from_json(self.manifest["projection"])

    @property
    def label_name(self):
        """Name of the overlap with its labels, such as ``"pseudo-label Dice"``."""
        return self.manifest.get("label_name", DEFAULT_LABEL_NAME)

    def overlap_name(self, given=None):
        """Return the name of the overlap in a table or figure.

        Args:
            given: value of ``--label_name``, which has priority; None or empty for none.

        Returns:
            str.

        Raises:
            UserError: a network made the labels, and the given name does not say so.
        """
        if given and are_model_made(self.label_name):
            check_model_made(given)
        return given or self.label_name

    def identity(self, patient):
        """Return the set of hashes that tell a patient in other folders (`identity_of`)."""
        return identity_of(self._records[patient])

    def bytes_of_a_case(self, with_scan=False):
        """Return the mean memory of a `Case`.

        Args:
            with_scan: whether it is loaded with its scan.
        """
        own = self.size**3 * (2 + 1) + 2 * self.size**2 * 4
        if not (with_scan and self.keeps_scans):
            return own
        sizes = [record["kept_scan_size"] for record in self._records.values()]
        return own + 2 * sum(map(math.prod, sizes)) / len(sizes)

    def sources(self):
        """Count the patients by source, licence and, where a network made them, their labels.

        Returns:
            List of dicts of ``source``, ``licence`` and ``patients``, sorted; those of labels
            that a network made have ``labels`` as well, such as ``"model-made by NAME"``.
        """
        counts = collections.Counter(
            (
                record.get("source", "not stated"),
                record.get("licence", "not stated"),
                _labels_of(record),
            )
            for record in self._records.values()
        )
        return [
            {
                "source": source,
                "licence": licence,
                "patients": count,
                **({"labels": labels} if labels else {}),
            }
            for (source, licence, labels), count in sorted(counts.items())
        ]

    def load(self, patient, with_scan=False):
        """Read one patient.

        Args:
            patient: an id.
            with_scan: whether to read the scan around the crop, where the folder has it.

        Returns:
            `Case`.

        Raises:
            UserError: no such patient, or its file is missing, damaged or of another size.
        """
        if patient not in self._records:
            raise UserError(f"{self.path}: no patient {patient!r}; its ids are in {MANIFEST}")
        file = patient_path(self.path, patient)
        record = self._records[patient]
        content = verified_content(file, record["sha256"])
        arrays = read_patient(file, content, self.size, with_scan and self.keeps_scans)
        return Case(
            id=patient,
            spacing_mm=record["spacing_mm"],
            origin_mm=tuple(record["origin_mm"]),
            **arrays,
        )

    def verify(self, patients):
        """Compare the files of patients with their hashes, those not yet compared.

        Args:
            patients: iterable of ids.

        Raises:
            UserError: a file is missing, damaged or was changed.
        """
        for patient in patients:
            verified_content(patient_path(self.path, patient), self._records[patient]["sha256"])

    def split(self, fold):
        """Return the training, validation and test patients of one fold.

        The test patients are the fold's group; the validation patients are listed
        in the manifest (`folds.draw_validation`).

        Args:
            fold: index of the group.

        Returns:
            `Split`, each list in the manifest's order.

        Raises:
            UserError: no such fold, or too few patients for three lists.

        Ge et al. (2022), Sect. 3.1.
        """
        folds = self.manifest["folds"]
        if not 0 <= fold < len(folds):
            raise UserError(f"fold {fold}: {self.path} has folds 0 to {len(folds) - 1}")
        test = set(folds[fold])
        if len(self.ids) - len(test) < 2:
            raise UserError(f"{self.path}: {len(self.ids)} patients cannot be split; prepare more")
        validation = set(self.manifest["validation"][fold])
        return Split(
            training=[id for id in self.ids if id not in test | validation],
            validation=[id for id in self.ids if id in validation],
            test=[id for id in self.ids if id in test],
        )

    def content_hash(self):
        """Return the hex sha256 of all ids and file hashes; it changes with any array."""
        return self._hash_of({patient: "" for patient in self.ids})

    def split_hash(self, fold):
        """Return the hex sha256 of a fold's test and validation patients.

        `content_hash` does not tell in which folds the patients lie.

        Args:
            fold: index of the group.

        Returns:
            The hash; None if there is no such fold.
        """
        if not 0 <= fold < len(self.manifest["folds"]):
            return None
        split = self.split(fold)
        tested = dict.fromkeys(split.test, "test ")
        return self._hash_of(dict.fromkeys(split.validation, "validation ") | tested)

    def fold_with(self, split_sha256):
        """Return the fold that has a `split_hash`, or None."""
        folds = range(len(self.manifest["folds"]))
        return next((fold for fold in folds if self.split_hash(fold) == split_sha256), None)

    def is_data_of(self, data_sha256, fold, split_sha256=None):
        """Return whether a network was trained on these data, with these patients held out.

        Args:
            data_sha256: `content_hash` of its data.
            fold: that it was trained on.
            split_sha256: `split_hash` of it; None if it is not known.
        """
        same = self.content_hash() == data_sha256
        return same and split_sha256 in (None, self.split_hash(fold))

    def _hash_of(self, words):
        """Return the hex sha256 of a word, id and file hash of each of some patients."""
        lines = [
            f"{words[record['id']]}{record['id']} {record['sha256']}\n"
            for record in self.manifest["patients"]
            if record["id"] in words
        ]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _labels_of(record):
    """Return who made a patient's labels if it was a network, else an empty text."""
    labels = record.get(LABELS_FIELD)
    return f"{MODEL_MADE} by {labels.get('name', 'a network')}" if labels else ""
