"""Metadata of a served model: what its server or a file tells, checked against the model.

The quality thresholds are in them, so that a report of the client reaches the verdict of
`experiments.reconstruct`.
"""

import json

import numpy as np

from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction.export_files import (
    EXPORT_FORMAT,
    check_metadata,
    with_defaults,
)

# An export's metadata have tens of kilobytes.
MAX_BYTES = 2**20


def metadata_length(shape):
    """Return the number of bytes of metadata that a server offers.

    Args:
        shape: shape of its output ``metadata_json``; None if it has none.

    Returns:
        int, -1 where the server leaves it open, or None: it offers no metadata.
    """
    if shape is None or len(shape) != 2 or not (shape[1] == -1 or 0 < shape[1] <= MAX_BYTES):
        return None
    return shape[1]


def decode_metadata(values, source):
    """Decode the metadata in an answer, and check every field that is used.

    Args:
        values: array or list of the bytes of JSON.
        source: the server, for the message.

    Returns:
        Dict of JSON values.

    Raises:
        UserError: no metadata of an export.
    """
    try:
        values = values.tolist() if isinstance(values, np.ndarray) else values
        if not isinstance(values, list) or len(values) > MAX_BYTES:
            raise ValueError("no list of bytes")
        metadata = json.loads(bytes(values))
        known = metadata["format"] == EXPORT_FORMAT
    except (LookupError, TypeError, ValueError, RecursionError):
        known = False
    if not known:
        raise UserError(
            f"{source} is not of format {EXPORT_FORMAT}; is the model an export of this project?"
        )
    metadata = with_defaults(metadata)
    check_metadata(metadata, source)
    return metadata


def require_same_model(metadata, size, film_normalization, segments, source):
    """Refuse metadata of another model than the one that is served.

    Args:
        metadata: checked metadata.
        size: voxels a side of the served model.
        film_normalization: that of the served model.
        segments: True if it segments.
        source: where the metadata are from, for the message.

    Raises:
        UserError: a field says otherwise.
    """
    served = {
        "size": (size, metadata["size"]),
        "film_normalization": (film_normalization, metadata["film_normalization"]),
        "classes": (segments, metadata["classes"] is not None),
        "window_hu": (list(WINDOW_HU), metadata["window_hu"]),
    }
    for field, (expected, found) in served.items():
        if expected != found:
            raise UserError(
                f"{source}: not of the model that the server has, which differs in {field}; take "
                "the metadata.json of that export"
            )


def require_same_metadata(given, told):
    """Refuse a file of --metadata of another export than the one that is served.

    Args:
        given: checked metadata of a file.
        told: checked metadata of an answer. They lack what an export adds at its end.

    Raises:
        UserError: a field that the server tells differs.
    """
    for field, expected in told.items():
        if given.get(field) != expected:
            raise UserError(
                f"--metadata: of another export than the server's, which differs in {field}; leave "
                "it out, since this server tells its own"
            )
