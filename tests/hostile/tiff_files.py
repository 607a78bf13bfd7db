"""TIFF pictures."""

import io
import struct

from PIL import Image

from tests.hostile.parts import GREY, bomb, picture_bytes
from tests.hostile.register import content

SHORT, LONG = 3, 4


def tiff(*entries, data=b"", offset=8, following=0):
    """Return a little-endian TIFF of one directory of ``(tag, type, count, value)``, then data."""
    directory = struct.pack("<H", len(entries))
    for tag, kind, count, value in sorted(entries):
        directory += struct.pack("<HHII", tag, kind, count, value)
    return b"II*\0" + struct.pack("<I", offset) + directory + struct.pack("<I", following) + data


def grey_tiff(width=32, height=32, start=200, length=1024, compression=1, **options):
    entries = ((256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 1, 8))
    entries += ((259, SHORT, 1, compression), (262, SHORT, 1, 1), (273, LONG, 1, start))
    entries += ((277, SHORT, 1, 1), (278, LONG, 1, height), (279, LONG, 1, length))
    return tiff(*entries, **options)


def pages(count):
    """Return a TIFF of many pages of the same pixels, each with its own directory."""
    size = len(grey_tiff()) - 8
    directories = (
        grey_tiff(start=8, following=8 + size * (page + 1))[8:] for page in range(count - 1)
    )
    return grey_tiff()[:8] + b"".join(directories) + grey_tiff(start=8)[8:]


content("truncated.tif", lambda: picture_bytes(GREY, "TIFF")[:300])
content("wild-offset.tif", tiff((256, LONG, 1, 32), offset=2**32 - 9))
content("wild-strip.tif", grey_tiff(start=2**32 - 99))
content("wild-length.tif", grey_tiff(length=2**32 - 1))
content("wild-count.tif", tiff((256, LONG, 2**32 - 1, 2**31)))
content("16k.tif", grey_tiff(16384, 16384))
content("4g.tif", grey_tiff(2**32 - 1, 2**32 - 1))
content("no-size.tif", grey_tiff(0, 0))
content("own-tail.tif", grey_tiff(following=8, data=bytes(2048)))
content("bad-compression.tif", grey_tiff(compression=31337, data=bytes(2048)))
content("garbage-lzw.tif", grey_tiff(compression=5, data=b"\xff" * 2048))
content("garbage-jpeg.tif", grey_tiff(compression=7, data=b"\xff\xd8" * 1024))
content("deflate-bomb.tif", lambda: grey_tiff(length=2**16, compression=8, data=60 * b"." + bomb()))
content("hundred-thousand-pages.tif", lambda: pages(100_000))
content("two-pages.tif", lambda: two_pages())
content("big.tif", struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**63))


def two_pages():
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, "TIFF", save_all=True, append_images=[Image.fromarray(GREY)])
    return stream.getvalue()
