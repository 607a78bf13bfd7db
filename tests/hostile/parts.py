"""Parts of hostile films of several kinds."""

import functools
import io
import zlib

import numpy as np
from PIL import Image

GREY = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)


def picture_bytes(pixels, kind="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@functools.cache
def bomb():
    """Return 64 MB of zeros, compressed to 64 kB."""
    return zlib.compress(bytes(2**26), 9)


def hole(path, start=b"", size=2**36):
    """Write a sparse file of 64 GB."""
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(size)
