"""The data that a run was trained on, and how those given now differ, without Keras."""

import pathlib

from xctrs_tf.data.dataset.mixture import open_parts
from xctrs_tf.files import sha256_of
from xctrs_tf.training.run_record import mixed_in, split_hash_in

# Kinds of `differing_data`.
DATA, FOLDS, FURTHER = "data", "folds", "further"


def describe_data(data, fold):
    """Open the data folders of a run on a fold, and describe them.

    Args:
        data: value of ``data``.
        fold: of the run.

    Returns:
        List of dicts, of `describe_folders`.

    Raises:
        UserError: as `mixture.open_parts`.
    """
    return describe_folders(open_parts(data, fold), fold)


def describe_folders(parts, fold):
    """Describe the data folders of a run on a fold, as ``folders`` of its config.json.

    Args:
        parts: list of `mixture.Part`, the opened data folders.
        fold: of the run.

    Returns:
        List of dicts of JSON values.
    """
    return [
        {
            "sources": part.dataset.sources(),
            "training_patients": len(part.ids),
            "share": round(part.share, 6),
            "data_sha256": part.dataset.content_hash(),
            "split_sha256": part.dataset.split_hash(fold),
        }
        for part in parts
    ]


def differing_data(data_sha256, folders, now, same_fold=True):
    """Compare the data that a run was trained on with those that are given now.

    Args:
        data_sha256: content hash of the first folder of the run.
        folders: ``folders`` of its config.json; runs of earlier versions tell less.
        now: of `describe_folders`.
        same_fold: whether both are of one fold. Else the patients held out differ anyway.

    Returns:
        List of what differs, of `DATA`, `FOLDS` and `FURTHER`; empty if nothing is known to.
    """
    found = []
    if data_sha256 != now[0]["data_sha256"]:
        found.append(DATA)
    elif same_fold and _dealt_anew(folders, now):
        found.append(FOLDS)
    if mixed_in(folders) != mixed_in(now):
        found.append(FURTHER)
    return found


def file_sha256(path):
    """Return the hash of a file, None where the text is no path of one."""
    return sha256_of(path) if pathlib.Path(path).is_file() else None


def _dealt_anew(folders, now):
    """Tell whether the patients of a folder lie in other folds than when a run began."""
    splits = [(split_hash_in(folders, n), split_hash_in(now, n)) for n in range(len(now))]
    # Runs of earlier versions do not tell.
    return any(old not in (None, new) for old, new in splits)
