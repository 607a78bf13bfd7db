"""Writer of the prepared data folder; it continues a folder that was interrupted."""

import json
import pathlib
import shutil

import numpy as np
import scipy

import xctrs_tf
from xctrs_tf.data.dataset.folds import draw_validation
from xctrs_tf.data.dataset.header_correction import HEADER
from xctrs_tf.data.dataset.manifest import (
    CHECK,
    DATASET_FORMAT,
    EARLIER,
    LABELS_FIELD,
    MANIFEST,
    MODEL_MADE_LABEL_NAME,
    UNFINISHED,
    read_manifest,
)
from xctrs_tf.data.dataset.patient_file import patient_path, read_patient
from xctrs_tf.data.patient_ids import id_key, is_id
from xctrs_tf.errors import UserError, listed
from xctrs_tf.files import atomic_path, sha256_of, write_json

# Recorded in the manifest, and raised with each change after which the same scans give other
# arrays, so that no folder holds patients of both. Folders without it are of number 1.
PREPARATION = 2


class DatasetWriter:
    """Writer of a prepared data folder, new or interrupted.

    It writes nothing before the first patient is added.

    Args:
        path: the folder: absent, empty, or made with the same configuration.
        configuration: dict that decides the content; it must hold ``size``,
            ``seed`` and ``projection``, and goes into the manifest. ``labels`` is there where a
            network made them.
        label_name: `Dataset.label_name`; None for that of an earlier run, if any.

    Raises:
        UserError: the folder holds other files or data of another configuration.
    """

    def __init__(self, path, configuration, label_name=None):
        self.path = pathlib.Path(path)
        self._label_name = label_name
        self.configuration = json.loads(json.dumps(configuration))
        self._records = {}
        self._rejected = {}
        if self.path.exists():
            self._take_over()
        if self.configuration.get(LABELS_FIELD) and not self._label_name:
            self._label_name = MODEL_MADE_LABEL_NAME

    @property
    def _keeps_scans(self):
        return bool(self.configuration.get("keep_scan"))

    def patients_who_left(self, ids):
        """Return the patients of an earlier run who are not in the source any more.

        Args:
            ids: the patients of the source.

        Raises:
            UserError: none is in the source: it is another source.
        """
        gone = sorted(set(self._records) - set(ids))
        if gone and len(gone) == len(self._records):
            raise UserError(
                f"{self.path}: has the patients {listed(gone)}, and the source has none of them; "
                "name another --output, or give all sources at once, an --input each"
            )
        return gone

    def knows(self, patient):
        """Return whether a patient was added, now or by an earlier run."""
        return patient in self._records

    def has(self, patient, source_sha256, header=None, earlier=()):
        """Return whether a patient is complete in the folder.

        Args:
            patient: an id.
            source_sha256: hash of the source's files as they are now.
            header: correction of their header, or None.
            earlier: hashes of the scans that are preferred to these files, None for one that
                cannot be read.

        Returns:
            True if the patient was added from these files, and the written file is undamaged
            and one that `Dataset` reads.
        """
        record = self._records.get(patient)
        if record is None or record["source_sha256"] != source_sha256:
            return False
        if record.get(HEADER) != header or record.get(EARLIER, []) != list(earlier):
            return False
        file = patient_path(self.path, patient)
        if not file.is_file() or sha256_of(file) != record["sha256"]:
            return False
        try:
            size = self.configuration["size"]
            read_patient(file, file.read_bytes(), size, self._keeps_scans)
        except UserError:
            return False
        return True

    def restate(self, patient, record):
        """Take over what the source says of a written patient now, such as a corrected licence.

        Args:
            patient: an id for which `has` is true.
            record: dict as of `add`, of the same files.
        """
        self._records[patient] |= record

    def image_of(self, patient):
        """Return the hash of the image that a patient comes from, or None if it has none."""
        return self._records[patient].get("image_sha256")

    def rejected_with(self, patient):
        """Return why other scans of a patient were rejected before the one that was added."""
        # An earlier run lists the source's own rejections first. The source tells those anew.
        scans = len(self._records.get(patient, {}).get(EARLIER, []))
        return self._rejected.get(patient, [])[-scans:] if scans else []

    def add(self, case, record, rejected=()):
        """Write one patient.

        Args:
            case: a `Case`.
            record: dict for the manifest: ``source``, ``source_file``,
                ``source_sha256``, ``licence`` and whatever the source adds.
            rejected: why other scans of the patient were rejected.

        Raises:
            UserError: the files cannot be written, for example on a full disk.
        """
        file = patient_path(self.path, case.id)
        try:
            self._claim()
            with atomic_path(file) as temporary:
                # NumPy gives every member the same date, so the same input gives the same bytes.
                arrays = {name: getattr(case, name) for name in ("ct", "segmentation", "ap", "la")}
                if self._keeps_scans:
                    arrays |= {"scan": case.scan, "scan_start": np.array(case.scan_start, "int64")}
                np.savez(temporary, **arrays)
            self._records[case.id] = {
                "id": case.id,
                **record,
                "sha256": sha256_of(file),
                "spacing_mm": float(case.spacing_mm),
                "origin_mm": [float(value) for value in case.origin_mm],
            }
            self._rejected[case.id] = list(rejected)
            self._write_unfinished()
        except OSError as error:
            self._records.pop(case.id, None)
            raise UserError(_unwritable(file, error)) from error

    def finalise(self, folds, rejected):
        """Write the manifest, without which `open_dataset` refuses the folder.

        Files of patients who are not in it any more are removed, and so are the pictures of
        ``prepare --check`` where they show other patients or other arrays.

        Args:
            folds: list of lists of the ids that were added.
            rejected: list of dicts ``id``, ``reason``.

        Raises:
            UserError: the manifest cannot be written, for example on a full disk.
        """
        ids = sorted(patient for fold in folds for patient in fold)
        try:
            if self._stored_arrays() != {name: self._records[name]["sha256"] for name in ids}:
                shutil.rmtree(self.path / CHECK, ignore_errors=True)
            self._write_manifest(MANIFEST, folds, ids, rejected)
            (self.path / UNFINISHED).unlink(missing_ok=True)
            self._remove_others(ids)
        except OSError as error:
            remedy = "; run the same command again"
            raise UserError(_unwritable(self.path / MANIFEST, error) + remedy) from error

    def _stored_arrays(self):
        """Return the hashes of the patients' files by id, as of the last finished preparation."""
        if not (self.path / MANIFEST).exists():
            return {}
        records = read_manifest(self.path / MANIFEST)["patients"]
        return {record["id"]: record["sha256"] for record in records}

    def _remove_others(self, ids):
        """Remove the files of patients who left the source, or whose scans are rejected now."""
        # On some file systems A.npz and a.npz are one file.
        kept = {id_key(patient) for patient in ids}
        for file in self.path.glob("patients/*.npz"):
            if id_key(file.stem) not in kept and is_id(file.stem) and file.is_file():
                file.unlink()

    def _claim(self):
        """Create the folder with an unfinished manifest, which lets a killed run continue."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / UNFINISHED).exists():
            self._write_unfinished()
        (self.path / "patients").mkdir(exist_ok=True)

    def _write_unfinished(self):
        self._write_manifest(UNFINISHED, [], list(self._records), rejections(self._rejected))

    def _take_over(self):
        if not self.path.is_dir():
            raise UserError(f"{self.path}: not a folder; choose another output folder")
        manifests = [self.path / name for name in (UNFINISHED, MANIFEST)]
        found = next((file for file in manifests if file.exists()), None)
        if found:
            manifest = read_manifest(found)
            # An option that was not given is null or absent in the manifest.
            different = [
                key
                for key, value in self.configuration.items()
                if key != LABELS_FIELD and manifest.get(key) != value
            ]
            # Only a folder of labels that a network made has this field.
            if manifest.get(LABELS_FIELD) != self.configuration.get(LABELS_FIELD):
                different.append("origin or network of the labels")
            here = (xctrs_tf.__version__, PREPARATION)
            if (manifest["version"], manifest.get("preparation", 1)) != here:
                different.append("version of this program")
            if different:
                raise UserError(
                    f"{self.path}: made with another {different[0]}; choose another output folder"
                )
            self._label_name = self._label_name or manifest.get("label_name")
            self._records = {record["id"]: record for record in manifest["patients"]}
            for rejected in manifest["rejected"]:
                self._rejected.setdefault(rejected["id"], []).append(rejected["reason"])
            # Half-written patients of a killed run.
            for scratch in self.path.glob("patients/.*.npz.*"):
                shutil.rmtree(scratch)
        elif any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            raise UserError(f"{self.path}: holds other files; choose an empty output folder")

    def _write_manifest(self, name, folds, ids, rejected):
        manifest = {
            "format": DATASET_FORMAT,
            "version": xctrs_tf.__version__,
            "preparation": PREPARATION,
            "versions": _versions(),
            **self.configuration,
            **({"label_name": self._label_name} if self._label_name else {}),
            "folds": folds,
            "validation": [
                draw_validation(ids, test, fold, self.configuration["seed"])
                for fold, test in enumerate(folds)
            ],
            "patients": [self._records[patient] for patient in ids],
            "rejected": rejected,
        }
        write_json(self.path / name, manifest)


def rejections(reasons):
    """Return the manifest's list of rejected scans.

    Args:
        reasons: dict from patient to the reasons, one for each rejected scan.

    Returns:
        List of dicts ``id``, ``reason``, sorted by id.
    """
    return [
        {"id": patient, "reason": reason}
        for patient in sorted(reasons)
        for reason in reasons[patient]
    ]


def _unwritable(file, error):
    return f"{file}: cannot be written ({error.strerror or error})"


def _versions():
    """Return the packages that compute the arrays: the same versions give the same bytes."""
    # Importing SimpleITK is slow.
    import SimpleITK as sitk

    return {
        "xctrs_tf": xctrs_tf.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "SimpleITK": sitk.Version.VersionString(),
    }
