"""Files, folders and links that are not films."""

import io
import os

import numpy as np
from PIL import Image

from tests.hostile.parts import GREY, hole, picture_bytes
from tests.hostile.register import content, film

content("text.png", b"A letter about a film.\n")
content("text.tif", b"A letter about a film.\n")
content("text.nii", b"A letter about a film.\n")
content("text.nii.gz", b"A letter about a film.\n")
content("text.dcm", b"A letter about a film.\n")
content("text.nrrd", b"A letter about a film.\n")
content("text.mha", b"A letter about a film.\n")
content("page.png", b"<!DOCTYPE html><script>alert(1)</script>")
content("program.dcm", b"\x7fELF" + bytes(500))
content("archive.png", b"PK\x03\x04" + bytes(200))
for suffix in ("png", "tif", "nii", "nii.gz", "dcm", "mha"):
    content(f"empty.{suffix}", b"")
content("zeros.png", bytes(4096))
content("zeros.tif", bytes(4096))
content("zeros.nii", bytes(4096))
content("noise.png", lambda: np.random.default_rng(1).bytes(4096))
content("noise.nii.gz", lambda: np.random.default_rng(2).bytes(4096))
content("without-a-suffix", b"A letter about a film.\n")
content("truncated.jpg", lambda: picture_bytes(GREY, "JPEG")[:-300])
content("truncated.jp2", lambda: picture_bytes(GREY, "JPEG2000")[:-300])
content("printed.jpg", lambda: printed(GREY))
content("wide.jpg", lambda: wide_jpeg(picture_bytes(GREY, "JPEG")))
content("gif.png", lambda: picture_bytes(GREY, "GIF"))


def printed(pixels):
    """Return a JPEG of the colours of printing."""
    stream = io.BytesIO()
    Image.merge("CMYK", 4 * [Image.fromarray(pixels)]).save(stream, "JPEG")
    return stream.getvalue()


def wide_jpeg(data):
    """Return a JPEG whose header says 60,000 pixels a side."""
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + 4 * b"\xea" + data[frame + 9 :]


film("folder.png")(lambda path: path.mkdir())
film("folder.dcm")(lambda path: path.mkdir())
film("pipe.dcm")(os.mkfifo)
film("loop.png")(lambda path: path.symlink_to(path.name))
film("loop.dcm")(lambda path: path.symlink_to(path.name))
film("dangling.nii")(lambda path: path.symlink_to("nowhere"))
film("endless.png")(lambda path: path.symlink_to("/dev/zero"))
film("absent.png")(lambda path: None)
for suffix in ("png", "tif", "nii", "dcm", "nrrd", "mha"):
    film(f"hole.{suffix}")(hole)
