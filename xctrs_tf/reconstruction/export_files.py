"""Files of an export beside the model itself: metadata.json and SHA256SUMS.

SHA256SUMS lists all files of a version folder as ``sha256sum`` does. A damaged or
exchanged file is refused before it is loaded. The hash of the list itself,
`model_sha256`, is one number for the whole model.
"""

import hashlib
import numbers
import os

from xctrs_tf.data.films.film_normalisation import (
    FILM_NORMALIZATIONS,
    FIRST_FILM_NORMALIZATION,
)
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.files import as_dict, read_json, require_plain_file, sha256_of, write_text
from xctrs_tf.geometry import SIZES, VERTEBRAE
from xctrs_tf.quality.reference import check_reference
from xctrs_tf.reconstruction.prediction_check import checked_spacing

EXPORT_FORMAT = "xctrs-export/2"
METADATA = "assets.extra/metadata.json"
MODEL_CARD = "assets.extra/MODEL_CARD.md"
CHECKSUMS = "assets.extra/SHA256SUMS"
CLASSES = ["background", *VERTEBRAE]
# A description has tens of kilobytes.
MAX_METADATA_BYTES = 2**24
# A window must reach from air to bone.
_AIR_AND_BONE_HU = (-500, 500)
_INT16 = (-32768, 32767)
_REMEDY = "run experiments.export again"


def read_metadata(folder):
    """Read metadata.json of a version folder, and check every field that is used.

    Args:
        folder: `pathlib.Path` of the version folder.

    Returns:
        Dict of JSON values.

    Raises:
        UserError: as `read_metadata_file`.
    """
    return read_metadata_file(folder / METADATA)


def read_metadata_file(file):
    """Read a metadata.json, and check every field that is used.

    Args:
        file: `pathlib.Path` of the file.

    Returns:
        Dict of JSON values.

    Raises:
        UserError: missing, unreadable, of another format, or with a field that no
            export has.
    """
    try:
        require_plain_file(file)
        if file.stat().st_size > MAX_METADATA_BYTES:
            raise UserError(f"{file}: over {MAX_METADATA_BYTES / 1e6:.0f} MB; {_REMEDY}")
        metadata = read_json(file)
        known = metadata.get("format") == EXPORT_FORMAT
    except PermissionError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except (OSError, ValueError):
        known = False
    if not known:
        raise UserError(f"{file}: missing, or not of format {EXPORT_FORMAT}; {_REMEDY}")
    metadata = with_defaults(metadata)
    check_metadata(metadata, file)
    return metadata


def with_defaults(metadata):
    """Return metadata with the fields that exports of earlier versions do not tell."""
    return {"film_normalization": FIRST_FILM_NORMALIZATION, **metadata}


def check_metadata(metadata, file):
    """Refuse metadata that no export has.

    Args:
        metadata: dict of JSON values.
        file: where they were read, for the message.

    Raises:
        UserError: a field is missing or impossible.
    """

    def require(field, holds, what):
        if not holds:
            value = one_line(repr(metadata.get(field, "missing")), 60)
            raise UserError(f"{file}: {field} is {value}, not {what}; {_REMEDY}")

    size, window, classes = (metadata.get(name) for name in ("size", "window_hu", "classes"))
    known = any(size == each for each in SIZES) and not isinstance(size, float)
    require("size", known, f"one of {', '.join(map(str, SIZES))}")
    require("window_hu", _is_window(window), "lower and upper end, from air to bone in HU")
    require("classes", classes is None or classes == CLASSES, "null, or background and C1 to C7")
    known = metadata.get("film_normalization") in FILM_NORMALIZATIONS
    require("film_normalization", known, f"one of {', '.join(FILM_NORMALIZATIONS)}")
    frame = metadata.get("frame")
    require("frame", isinstance(frame, str) and frame.startswith("LPS"), "LPS")
    # Exports of earlier versions do not tell them.
    for field in ("precision", "fpmath"):
        known = metadata.get(field, "float32") in ("float32", "bfloat16")
        require(field, known, "float32 or bfloat16")
    if metadata.get("spacing_mm") is not None:
        checked_spacing(metadata["spacing_mm"], size, f"{file}: spacing_mm")
    else:
        require("spacing_mm", "spacing_mm" in metadata, "a number of mm or null")
    if metadata.get("quality") is not None:
        check_reference(metadata["quality"], f"{file}: quality")
        theirs = metadata["quality"].get("film_normalization", FIRST_FILM_NORMALIZATION)
        if theirs != metadata["film_normalization"]:
            raise UserError(
                f"{file}: quality is of {theirs} films, and the model takes "
                f"{metadata['film_normalization']}; run experiments.calibrate and {_REMEDY[4:]}"
            )


def takes_films(metadata):
    """Return False for the metadata of a segmentation network alone, which takes CTs."""
    # Those of earlier versions name the networks as flags of the training alone.
    names = as_dict(metadata.get("networks") or metadata.get("training"))
    return names.get("reconstruction", "unknown") not in (None, "none")


def write_checksums(folder):
    """Write SHA256SUMS of a version folder.

    Args:
        folder: `pathlib.Path`.
    """
    write_text(folder / CHECKSUMS, list_files(folder))


def model_sha256(folder):
    """Return the sha256 of the list of all files of a model with their sha256.

    It is the hash of the file SHA256SUMS, and the same for an older export without it.

    Args:
        folder: `pathlib.Path` of the version folder.

    Returns:
        64 hexadecimal digits.

    Raises:
        UserError: a file cannot be read.
    """
    return listing_sha256(list_files(folder))


def listing_sha256(listing):
    """Return the `model_sha256` of a model with these files.

    Args:
        listing: of `list_files`.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def check_files(folder, metadata, sha256=None, listing=None):
    """Refuse a model of which a file was changed, is missing, or was added.

    Args:
        folder: `pathlib.Path` of the version folder.
        metadata: its metadata. Exports of earlier versions do not name checksums, and
            only that their files can be read is checked.
        sha256: the `model_sha256` that is demanded, or None.
        listing: of `list_files`; None reads the files.

    Raises:
        UserError: a file differs, or cannot be read.
    """
    if listing is None:
        listing = list_files(folder)
    found = listing_sha256(listing)
    if sha256 is not None and found != sha256.strip().lower():
        raise UserError(f"--model_sha256={sha256}: {folder} has {found}; is it the model you mean?")
    if metadata.get("checksums") is None:
        return
    try:
        expected = (folder / CHECKSUMS).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CHECKSUMS}: missing or damaged; {_REMEDY}") from error
    if listing == expected:
        return
    here, there = (_by_name(text) for text in (listing, expected))
    differing = [name for name in {*here, *there} if here.get(name) != there.get(name)]
    name = min(differing, default=CHECKSUMS)
    what = "changed since the export" if name in {*here, CHECKSUMS} else "missing"
    if name not in there and differing:
        what = "no part of the export; remove it"
    raise UserError(f"{folder / name}: {what}; fetch the model again, or {_REMEDY}")


def _is_window(window):
    if not isinstance(window, list) or len(window) != 2:
        return False
    if not all(isinstance(end, numbers.Real) and not isinstance(end, bool) for end in window):
        return False
    low, high = window
    air, bone = _AIR_AND_BONE_HU
    return _INT16[0] <= low <= air < bone <= high <= _INT16[1]


def list_files(folder):
    """Return the lines of SHA256SUMS of a version folder.

    Args:
        folder: `pathlib.Path`.

    Returns:
        A line for each file: hash, two blanks, path. Hidden files, ``__pycache__`` and
        SHA256SUMS itself are left out.

    Raises:
        UserError: a file cannot be read.
    """
    lines = []
    try:
        for path, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not _is_no_part(name)]
            for name in names:
                file = os.path.join(path, name)
                relative = os.path.relpath(file, folder).replace(os.sep, "/")
                if not name.startswith(".") and relative != CHECKSUMS:
                    require_plain_file(file)
                    lines.append((relative, sha256_of(file)))
        return "".join(f"{digest}  {name}\n" for name, digest in sorted(lines))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _is_no_part(folder):
    # Triton's Python backend compiles model.py into __pycache__; nothing of this package runs it.
    return folder.startswith(".") or folder == "__pycache__"


def _by_name(text):
    parts = (line.partition("  ") for line in text.splitlines())
    return {name: digest for digest, _, name in parts}


def _raise(error):
    raise error
