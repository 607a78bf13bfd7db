"""DICOM files."""

import io
import struct
import warnings

import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from tests.data.dicoms import write_dicom
from tests.hostile.parts import hole
from tests.hostile.register import film


def dicom(name, **tags):
    """Register a DICOM film with these tags changed."""

    @film(name)
    def write(path):
        with warnings.catch_warnings():
            # pydicom warns of the odd values that are intended here.
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


def tiny_fields(data):
    """Put half a megabyte of empty fields into a sequence without a length."""
    sequence = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    fields = b"".join(struct.pack("<HHI", 0x10, number, 0) for number in range(2**16))
    start = data.index(struct.pack("<HHI", 0x0008, 0x0060, 2))
    return data[:start] + sequence + item + fields


def huge_length(data):
    start = data.index(b"\xe0\x7f\x10\x00OW")
    return data[: start + 8] + struct.pack("<I", 2**32 - 16) + data[start + 100 :]


def huge_text(data):
    place = data.index(b"\x08\x00\x60\x00CS")
    return data[:place] + b"\x08\x00\x81\x00UT\0\0" + struct.pack("<I", 2**32 - 16) + data[place:]


changed("truncated-header.dcm", lambda data: data[:200])
changed("truncated-pixels.dcm", lambda data: data[:-100])
changed("nested.dcm", nested, syntax=ImplicitVRLittleEndian)
changed("tiny-fields.dcm", tiny_fields, syntax=ImplicitVRLittleEndian)
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
    """Return a JPEG of 13 000 pixels a side and four colours, for a header of few pixels."""
    stream = io.BytesIO()
    Image.new("CMYK", (13_000, 13_000)).save(stream, "JPEG", quality=1)
    return stream.getvalue()


compressed("bomb.jpeg.dcm", JPEGBaseline8Bit, large_jpeg)


def sequence_of(count):
    items = [Dataset() for _ in range(count)]
    return pydicom.Sequence(items)


dicom("many-items.dcm", Modality="CT", ReferencedImageSequence=sequence_of(50_000))
film("film-and-hole.dcm")(lambda path: hole(path, dicom_bytes(path)))
