"""Lies of a model server that both protocols share, and what must become of each."""

import threading
import warnings

import numpy as np

from tests.export.runs import SIZE
from tests.films import block_films
from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction import Reconstruction
from xctrs_tf.serving.remote import RemoteReconstructor

CT_HU, LABELS, SPACING_MM = -7, 5, 2.5
# Clears a screen, sets its title, answers a question of the terminal.
ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\x1b[6n"
# Values that a number, a list or an object is exchanged for.
STRANGE = {
    "zero": 0,
    "negative": -5,
    "huge": 10**30,
    "enormous": 10**400,
    "infinite": float("inf"),
    "not a number": float("nan"),
    "tiny": 1e-30,
    "fraction": 0.5,
    "text": "2.5",
    "escapes": ESCAPES,
    "null": None,
    "true": True,
    "empty list": [],
    "list": [1, 2],
    "object": {"size": 32},
}
# Random lies of a protocol in the soak tests.
NUMBER_RANDOM = 150
# Seconds after which a request that should have ended is taken to hang.
HANG_S = 10.0


def volume(value):
    """Return nested lists of a volume with one value everywhere."""
    return [[[value] * SIZE] * SIZE] * SIZE


def true_ct():
    """Return the true CT ``[x, y, z]``: of a constant one there would be a warning."""
    ct = np.full((SIZE,) * 3, CT_HU, np.int16)
    ct[1, 2, 3] = 100
    return ct


def plain_answer(**changes):
    """Return the true answer to a request over REST, with changes."""
    answer = {"ct_hu": true_ct().tolist(), "segmentation": volume(LABELS), "spacing_mm": SPACING_MM}
    return {**answer, **changes}


def mutated_bytes(content, generator):
    """Change, remove, repeat or insert some bytes.

    Args:
        content: bytes.
        generator: `random.Random`.
    """
    content = bytearray(content)
    for _ in range(generator.choice((1, 2, 8))):
        at = generator.randrange(len(content) + 1)
        end = min(len(content), at + generator.choice((1, 1, 2, 100)))
        kind = generator.randrange(4)
        if kind == 0:
            content[at:end] = generator.randbytes(end - at)
        elif kind == 1:
            del content[at:end]
        elif kind == 2:
            content[at:at] = content[at:end]
        else:
            content[at:at] = generator.randbytes(generator.choice((1, 4)))
    return bytes(content)


def outcome(make_client):
    """Ask a server for a reconstruction; return it, or the error's line.

    A result is whole, in range and of a possible size. An error is one line that a
    terminal can show. Nothing takes longer than `HANG_S`.

    Args:
        make_client: function that returns the client.
    """
    found = []

    def ask():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                found.append(RemoteReconstructor(make_client())(**block_films()))
            except BaseException as error:
                found.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HANG_S)
    assert found, "hangs"
    if isinstance(found[0], Reconstruction):
        _assert_whole(found[0])
        return found[0]
    if not isinstance(found[0], UserError):
        raise found[0]
    line = str(found[0])
    assert line.isprintable() and len(line) < 1000, line
    return line


def _assert_whole(reconstruction):
    ct_hu, labels = reconstruction.ct_hu, reconstruction.segmentation
    assert (ct_hu.shape, ct_hu.dtype) == ((SIZE,) * 3, np.int16)
    assert -1000 <= ct_hu.min() <= ct_hu.max() <= 1500
    assert labels is None or (labels.shape, labels.dtype) == ((SIZE,) * 3, np.uint8)
    assert labels is None or labels.max() <= 7
    assert 30 <= SIZE * reconstruction.spacing_mm <= 1000
