"""The manifest of a prepared data folder: reading and checking."""

import hashlib
import json
import math
import pathlib
import re

from xctrs_tf.data.patient_ids import check_id, id_key
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.errors import UserError

DATASET_FORMAT = "xctrs-dataset/1"
MANIFEST = "manifest.json"
# The manifest of a preparation that is running or was killed.
UNFINISHED = "manifest.unfinished.json"
# Folder of the pictures of ``prepare --check``.
CHECK = "check"
_NEEDED = ("version", "size", "seed", "projection", "folds", "validation", "patients")
_AGAIN = "run experiments.prepare again"
# Name of the overlap with labels of which nothing else was said.
DEFAULT_LABEL_NAME = "Dice"
_LONGEST_LABEL_NAME = 40
# Labels that a network made and nobody checked: every name of an overlap with them says so.
MODEL_MADE = "model-made"
MODEL_MADE_LABEL_NAME = f"{MODEL_MADE} {DEFAULT_LABEL_NAME}"
# Field of a manifest and of a patient's record, and its value in ``made_by`` for a network.
LABELS_FIELD, MODEL = "labels", "model"
# Field of a patient's record: hashes of the scans that were tried before the one that is used,
# None for one that could not be read. It is absent where the first scan is used.
EARLIER = "earlier_sha256"

# The ``source_file`` of a phantom (`data.sources.phantoms`).
_PHANTOM = re.compile(r"phantom seed \d+")


def identity_of(record):
    """Return what a patient's record has in common with that of the same patient in other folders.

    Args:
        record: dict of ``patients`` of a manifest.

    Returns:
        Set of hashes, any of which tells the patient: that of the scan, and that of its files,
        whose header may be corrected here and not there. Of a phantom, in place of files, that
        of its number, since it may be on other voxels. Empty in folders of earlier versions.
    """
    image = record.get("image_sha256")
    if not isinstance(image, str):
        return set()
    recipe = str(record.get("source_file"))
    if record.get("source") != "phantom" or not _PHANTOM.fullmatch(recipe):
        return {image, record["source_sha256"]}
    return {image, hashlib.sha256(recipe.encode()).hexdigest()}


def read_manifest(file):
    """Read a manifest, finished or not, and check its patients.

    Args:
        file: its path.

    Returns:
        Dict with every key that `Dataset` needs.

    Raises:
        UserError: the file is missing, unreadable or of another format, or a patient's
            entry cannot be right.
    """
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if file.with_name(UNFINISHED).exists():
            remedy = "its preparation was interrupted: run the same experiments.prepare again"
        else:
            remedy = "make one with python -m experiments.prepare"
        raise UserError(
            f"{file.parent}: no prepared data folder ({file.name}); {remedy}"
        ) from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: unreadable; {_AGAIN}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != DATASET_FORMAT:
        raise UserError(f"{file}: not of format {DATASET_FORMAT}; {_AGAIN}")
    missing = set(_NEEDED) - manifest.keys()
    if missing:
        raise UserError(f"{file}: lacks {min(missing)!r}; {_AGAIN}")
    size = manifest["size"]
    if not _is_whole(size) or size < 1:
        raise UserError(f"{file}: size {size!r}; {_AGAIN}")
    _check_projection(file, manifest["projection"])
    keep_scan = manifest.get("keep_scan")
    if keep_scan not in (None, True, False):
        raise UserError(f"{file}: keep_scan {keep_scan!r}; {_AGAIN}")
    if not is_label_name(manifest.get("label_name", DEFAULT_LABEL_NAME)):
        raise UserError(f"{file}: label_name is no short line; {_AGAIN}")
    _check_labels(file, manifest)
    _check_patients(file, manifest["patients"], bool(keep_scan))
    rejected = manifest.setdefault("rejected", [])
    if not isinstance(rejected, list) or not all(map(_is_rejection, rejected)):
        raise UserError(f"{file}: rejected is no list of ids and reasons; {_AGAIN}")
    return manifest


def is_label_name(name):
    """Return whether something can name an overlap: a line of at most 40 characters."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and 0 < len(name.strip()) == len(name) <= _LONGEST_LABEL_NAME
    )


def are_model_made(label_name):
    """Return whether the name of an overlap says that a network made the labels."""
    return MODEL_MADE in label_name


def check_model_made(label_name):
    """Refuse a name of --label_name that hides that a network made the labels.

    Args:
        label_name: of the overlap with them.

    Raises:
        UserError: it does not say so.
    """
    if not are_model_made(label_name):
        raise UserError(
            f"--label_name={label_name}: a network made these labels; the name must contain "
            f"{MODEL_MADE!r}, as {MODEL_MADE_LABEL_NAME!r} does"
        )


def check_folds(file, manifest):
    """Refuse folds in which a patient is both tested and trained on, or validated with.

    Args:
        file: path of the manifest, for the error.
        manifest: dict of `read_manifest`.

    Raises:
        UserError: the folds do not deal each patient once, or a fold's test patient is
            among those that validate it.
    """
    folds, validation = manifest["folds"], manifest["validation"]
    if not _are_texts(folds) or not _are_texts(validation) or len(folds) != len(validation):
        raise UserError(f"{file}: folds or validation are no lists of ids; {_AGAIN}")
    ids = {record["id"] for record in manifest["patients"]}
    dealt = [patient for fold in folds for patient in fold]
    if len(dealt) != len(ids) or set(dealt) != ids:
        odd = sorted(set(dealt) ^ ids) or sorted(each for each in ids if dealt.count(each) > 1)
        raise UserError(f"{file}: patient {odd[0]!r} is not in one fold exactly; {_AGAIN}")
    for number, (test, validating) in enumerate(zip(folds, validation, strict=True)):
        if strange := sorted(set(validating) - (ids - set(test))):
            raise UserError(
                f"{file}: fold {number}: {strange[0]!r} validates, but is no patient or one of "
                f"the test patients; {_AGAIN}"
            )


def _check_projection(file, projection):
    try:
        FilmSimulation.from_json(projection)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file}: projection is no geometry; {_AGAIN}") from error


def _check_labels(file, manifest):
    """Refuse labels of a network under a name that does not say so."""
    records = manifest["patients"] if isinstance(manifest["patients"], list) else []
    labels = [manifest, *(record for record in records if isinstance(record, dict))]
    labels = [each[LABELS_FIELD] for each in labels if each.get(LABELS_FIELD) is not None]
    for each in labels:
        if not isinstance(each, dict) or each.get("made_by") != MODEL:
            raise UserError(f"{file}: labels {str(each)[:60]!r}; {_AGAIN}")
    if labels and not are_model_made(manifest.get("label_name", DEFAULT_LABEL_NAME)):
        raise UserError(f"{file}: a network made its labels, and label_name hides it; {_AGAIN}")


def _check_patients(file, records, keep_scan):
    if not isinstance(records, list):
        raise UserError(f"{file}: patients is no list; {_AGAIN}")
    seen = set()
    for record in records:
        if not isinstance(record, dict):
            raise UserError(f"{file}: a patient is no object; {_AGAIN}")
        try:
            key = id_key(check_id(record.get("id")))
            if key in seen:
                raise UserError(f"id {record['id']!r} stands twice")
            _check_record(record)
            if keep_scan:
                _check_kept_scan(record)
        except UserError as error:
            raise UserError(f"{file}: {error}; {_AGAIN}") from error
        seen.add(key)


def _check_record(record):
    patient = record["id"]
    for name in ("source", "source_file", "licence"):
        if not isinstance(record.get(name, ""), str):
            raise UserError(f"patient {patient!r}: {name} {record[name]!r}")
    parts = record.get("source_files", [])
    if not isinstance(parts, list) or not all(isinstance(each, str) for each in parts):
        raise UserError(f"patient {patient!r}: source_files {parts!r}")
    for name in (record.get("source_file", ""), *parts):
        path = pathlib.PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise UserError(f"patient {patient!r}: source_file {str(path)!r} leads elsewhere")
    for name in ("sha256", "source_sha256"):
        if not isinstance(record.get(name), str):
            raise UserError(f"patient {patient!r}: no {name}")
    earlier = record.get(EARLIER, [])
    if not isinstance(earlier, list) or not all(isinstance(each, str | None) for each in earlier):
        raise UserError(f"patient {patient!r}: {EARLIER} {str(earlier)[:60]!r}")
    spacing = record.get("spacing_mm")
    if not _is_number(spacing) or spacing <= 0:
        raise UserError(f"patient {patient!r}: spacing_mm {spacing!r}")
    origin = record.get("origin_mm")
    if not isinstance(origin, list) or len(origin) != 3 or not all(map(_is_number, origin)):
        raise UserError(f"patient {patient!r}: origin_mm {origin!r}")


def _check_kept_scan(record):
    size = record.get("kept_scan_size")
    if not isinstance(size, list) or len(size) != 3 or not all(map(_is_whole, size)):
        raise UserError(f"patient {record['id']!r}: kept_scan_size {size!r}")


def _are_texts(groups):
    return isinstance(groups, list) and all(
        isinstance(group, list) and all(isinstance(each, str) for each in group) for group in groups
    )


def _is_rejection(entry):
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), str) for name in ("id", "reason")
    )


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
