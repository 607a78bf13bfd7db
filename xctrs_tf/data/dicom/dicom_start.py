"""Beginning of DICOM files, with or without a preamble."""

import re

PREAMBLE, MAGIC = 128, b"DICM"
# First tag of a file without a preamble: group 2 or 8, little or big-endian, and the kind
# of its value, or its length in an implicit header.
_BARE = re.compile(rb"(?:[\x02\x08]\x00..|\x00[\x02\x08]..)(?:[A-Z]{2}|..\x00\x00)", re.DOTALL)
# Bytes that tell whether a file is DICOM.
START = PREAMBLE + 8


def starts_like_dicom(content):
    """Return whether a file begins as DICOM files do, with or without a preamble.

    Args:
        content: the file's bytes, or at least the first `START`.
    """
    return _has_magic(content) or _BARE.match(without_preamble(content)) is not None


def without_preamble(content):
    """Return a file's bytes without a preamble of zeros that has no DICM after it."""
    if _has_magic(content) or any(content[:PREAMBLE]):
        return content
    return content[PREAMBLE:]


def _has_magic(content):
    return content[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC
