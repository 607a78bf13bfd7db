"""Helpers to write hostile films."""

import functools
import io
import struct
import zlib

import numpy as np
from PIL import Image

GREY = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)


def chunk(kind, data):
    """Return a chunk of a PNG file with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width=32, height=32, depth=8, color=0, data=None, extra=b""):
    """Return a PNG file, whose header may contradict its contents.

    Args:
        width: in pixels, as the header states it.
        height: in pixels, as the header states it.
        depth: bits per pixel.
        color: colour type; 0 is grey.
        data: compressed pixels; None for black ones.
        extra: chunks between header and pixels.
    """
    rows = zlib.compress(bytes(height * (1 + width))) if data is None else data
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def picture_bytes(pixels, kind="PNG", **options):
    """Return the bytes of a picture file of these pixels."""
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
