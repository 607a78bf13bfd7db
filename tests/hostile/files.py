"""A hundred films that are damaged, or made to do harm, each under its own name.

Every entry of `FILMS` writes to the path that it is given; its name ends as the
film's does. None of them may be read, and all are small on disk: a file of
gigabytes is one hole.
"""

import functools
import gzip
import io
import os
import struct
import warnings
import zlib

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from tests.data.test_dicom_film import write_dicom

GREY = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)
FILMS = {}


def film(name):
    """Register a function of a path that writes the film of this name."""

    def register(write):
        assert name not in FILMS, name
        FILMS[name] = write
        return write

    return register


def content(name, data):
    """Register a film of these bytes, or of those that a function makes."""
    film(name)(lambda path: path.write_bytes(data() if callable(data) else data))


# --- whatever is no film ---------------------------------------------------------

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
content("picture.jpg", lambda: picture_bytes(GREY, "JPEG"))
content("jpeg.png", lambda: picture_bytes(GREY, "JPEG"))
content("gif.png", lambda: picture_bytes(GREY, "GIF"))
film("folder.png")(lambda path: path.mkdir())
film("folder.dcm")(lambda path: path.mkdir())
film("pipe.dcm")(os.mkfifo)
film("loop.png")(lambda path: path.symlink_to(path.name))
film("loop.dcm")(lambda path: path.symlink_to(path.name))
film("dangling.nii")(lambda path: path.symlink_to("nowhere"))
film("endless.png")(lambda path: path.symlink_to("/dev/zero"))
film("absent.png")(lambda path: None)


def hole(path, start=b"", size=2**36):
    """A file of 64 GB that takes no room."""
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(size)


for suffix in ("png", "tif", "nii", "dcm", "nrrd", "mha"):
    film(f"hole.{suffix}")(hole)
film("film-and-hole.nii")(lambda path: hole(path, nifti()))
film("film-and-hole.dcm")(lambda path: hole(path, dicom_bytes(path)))


# --- PNG -------------------------------------------------------------------------


def picture_bytes(pixels, kind="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, data, length=None):
    head = struct.pack(">I", len(data) if length is None else length)
    return head + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width=32, height=32, depth=8, color=0, data=None, extra=b"", end=True):
    rows = zlib.compress(bytes(height * (1 + width))) if data is None else data
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    tail = chunk(b"IEND", b"") if end else b""
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", rows) + tail


@functools.cache
def bomb():
    """Zeros, 64 MB in 64 kB."""
    return zlib.compress(bytes(2**26), 9)


content("truncated.png", lambda: picture_bytes(GREY)[:200])
content("header-only.png", lambda: picture_bytes(GREY)[:33])
content("signature-only.png", b"\x89PNG\r\n\x1a\n")
content("constant.png", png)
content("16k.png", lambda: png(16384, 16384, data=bomb()))
content("many-pixels.png", lambda: png(16000, 16000, data=bomb()))
content("2g-wide.png", lambda: png(2**31 - 1, 1, data=bomb()))
content("2g-square.png", lambda: png(2**31 - 1, 2**31 - 1, data=bomb()))
content("no-width.png", lambda: png(0, 32))
content("no-height.png", lambda: png(32, 0))
content("short-data.png", lambda: png(4096, 4096, data=zlib.compress(bytes(100))))
content("bad-depth.png", lambda: png(depth=77))
content("bad-color.png", lambda: png(color=9))
content("garbage-data.png", lambda: png(data=b"no deflated stream"))
content("huge-chunk.png", lambda: png()[:33] + struct.pack(">I", 2**31 - 1) + b"IDATxx")
content("text-bomb.png", lambda: png(extra=16 * chunk(b"zTXt", b"a\0\0" + bomb())))
content("profile-bomb.png", lambda: png(extra=chunk(b"iCCP", b"a\0\0" + bomb())))
content("animated.png", lambda: animated(3))
content("endless-animation.png", lambda: png(extra=chunk(b"acTL", struct.pack(">II", 2**31, 0))))
content("colour.png", lambda: picture_bytes(np.stack([GREY, GREY // 2, GREY], -1)))
content("flipped-bytes.png", lambda: flipped(picture_bytes(GREY), 8))


def flipped(data, start):
    damaged = bytearray(data)
    for place in np.random.default_rng(3).integers(start, len(data), 40):
        damaged[place] ^= 0xFF
    return bytes(damaged)


def animated(count):
    stream = io.BytesIO()
    pages = [Image.fromarray(np.roll(GREY, page)) for page in range(count)]
    pages[0].save(stream, "PNG", save_all=True, append_images=pages[1:])
    return stream.getvalue()


# --- TIFF ------------------------------------------------------------------------

SHORT, LONG = 3, 4


def tiff(*entries, data=b"", offset=8, following=0):
    """A little-endian TIFF of one directory of ``(tag, type, count, value)``, data behind it."""
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
    """So many pages of the same pixels, each with a directory of its own."""
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


# --- NIfTI, NRRD, MetaImage ------------------------------------------------------


def nifti(dims=(2, 32, 32), kind=16, bits=32, pixdim=(1.0, 1.0, 1.0), offset=352.0, data=None):
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into(f"<{len(dims)}h", header, 40, *dims)
    struct.pack_into("<hh", header, 70, kind, bits)
    struct.pack_into("<4f", header, 76, 1.0, *pixdim)
    struct.pack_into("<ff", header, 108, offset, 1.0)
    header[344:348] = b"n+1\0"
    values = np.arange(1024, dtype="<f4").tobytes() if data is None else data
    return bytes(header) + values


def with_nan():
    values = np.arange(1024, dtype="<f4")
    values[77] = np.nan
    return values.tobytes()


content("nan.nii", lambda: nifti(data=with_nan()))
content("infinite.nii.gz", lambda: gzip.compress(nifti(data=b"\0\0\x80\x7f" * 1024)))
content("cut.nii", lambda: nifti()[:2000])
content("cut.nii.gz", lambda: gzip.compress(nifti())[:-40])
content("negative.nii", lambda: nifti((2, -32, 32)))
content("no-voxels.nii", lambda: nifti((2, 0, 0)))
content("seven-axes.nii", lambda: nifti((7, 4, 4, 4, 4, 4, 1, 1)))
content("99-axes.nii", lambda: nifti((99, 32, 32)))
content("volume.nii", lambda: nifti((3, 16, 8, 8)))
content("32k.nii", lambda: nifti((2, 32767, 32767)))
content("no-pixel.nii", lambda: nifti(pixdim=(0.0, 0.0, 0.0)))
content("nan-pixel.nii", lambda: nifti(pixdim=(float("nan"),) * 3))
content("unknown-type.nii", lambda: nifti(kind=999))
content("colour.nii", lambda: nifti(kind=128, bits=24))
content("wild-offset.nii", lambda: nifti(offset=1e30))
content("negative-offset.nii", lambda: nifti(offset=-500.0))
content("bomb.nii.gz", lambda: gzip.compress(nifti((2, 32, 32)) + bytes(2**29), 9))
content(
    "nrrd-of-another.nrrd",
    b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 32 32\nencoding: raw\ndata file: secret.raw\n\n",
)
content(
    "nrrd-wild.nrrd",
    b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 99999999 99999999\nencoding: raw\n\n",
)
content(
    "mha-of-another.mha",
    b"ObjectType = Image\nNDims = 2\nDimSize = 32 32\n"
    b"ElementType = MET_UCHAR\nElementDataFile = secret.raw\n",
)
content(
    "mha-wild.mha",
    b"ObjectType = Image\nNDims = 2\nDimSize = 99999999 99999999\n"
    b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
)


# --- DICOM -----------------------------------------------------------------------


def dicom(name, **tags):
    """Register a DICOM film with these tags changed."""

    @film(name)
    def write(path):
        with warnings.catch_warnings():
            # pydicom warns of what we mean to write.
            warnings.simplefilter("ignore")
            write_dicom(path, **tags)


def dicom_bytes(path, **tags):
    return write_dicom(path, **tags).read_bytes()


def changed(name, change, **tags):
    """Register a DICOM film whose bytes are changed by a function."""
    film(name)(lambda path: path.write_bytes(change(dicom_bytes(path, **tags))))


def nested(data):
    sequence = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    start = data.index(struct.pack("<HHI", 0x0008, 0x0060, 2))
    return data[:start] + 50_000 * (sequence + item)


def huge_length(data):
    start = data.index(b"\xe0\x7f\x10\x00OW")
    return data[: start + 8] + struct.pack("<I", 2**32 - 16) + data[start + 100 :]


def huge_text(data):
    place = data.index(b"\x08\x00\x60\x00CS")
    return data[:place] + b"\x08\x00\x81\x00UT\0\0" + struct.pack("<I", 2**32 - 16) + data[place:]


changed("truncated-header.dcm", lambda data: data[:200])
changed("truncated-pixels.dcm", lambda data: data[:-100])
changed("nested.dcm", nested, syntax=ImplicitVRLittleEndian)
changed("huge-pixels.dcm", huge_length)
changed("huge-text.dcm", huge_text)
changed("prefix-only.dcm", lambda data: data[:132])
dicom("ct.dcm", Modality="CT")
dicom("no-modality.dcm", Modality=None)
dicom("16k.dcm", Rows=16384, Columns=16384)
dicom("65k.dcm", Rows=65535, Columns=65535)
dicom("no-rows.dcm", Rows=0)
dicom("many-frames.dcm", NumberOfFrames=2**31 - 1)
dicom("colour.dcm", PhotometricInterpretation="RGB", SamplesPerPixel=3)
dicom("nan-slope.dcm", RescaleSlope="nan", RescaleIntercept="0")


def compressed(name, syntax, frame):
    """Register a DICOM film of one encapsulated frame."""

    @film(name)
    def write(path):
        data = pydicom.dcmread(write_dicom(path, BitsAllocated=8, BitsStored=8, HighBit=7))
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = encapsulate([frame() if callable(frame) else frame])
        data["PixelData"].VR = "OB"
        data.save_as(path)


compressed("garbage.jpeg.dcm", JPEGBaseline8Bit, b"\xff\xd8" + b"garbage." * 50)
compressed("garbage.jpeg2000.dcm", JPEG2000, b"\xff\x4f\xff\x51" + b"garbage." * 50)
compressed("garbage.rle.dcm", RLELossless, struct.pack("<16I", 15, *[2**31] * 15) + b"garbage.")
compressed("bomb.rle.dcm", RLELossless, struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81a" * 2**22)
compressed("run.rle.dcm", RLELossless, struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81a" * 2**21)


def large_jpeg():
    """13 000 pixels a side of four colours, in a frame that is said to be small."""
    stream = io.BytesIO()
    Image.new("CMYK", (13_000, 13_000)).save(stream, "JPEG", quality=1)
    return stream.getvalue()


compressed("bomb.jpeg.dcm", JPEGBaseline8Bit, large_jpeg)


def sequence_of(count):
    items = [Dataset() for _ in range(count)]
    return pydicom.Sequence(items)


dicom("many-items.dcm", Modality="CT", ReferencedImageSequence=sequence_of(50_000))
