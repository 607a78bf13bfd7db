"""Size of a compressed picture by its own header: JPEG, JPEG-LS and JPEG 2000."""

import dataclasses
import struct

# Markers that begin a JPEG picture's description; C4, C8 and CC mean other things.
_JPEG_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_JPEG_LS_FRAME = 0xF7
_END = b"\xff\xd9"


@dataclasses.dataclass(frozen=True)
class Codestream:
    """Description that a compressed picture has in its header.

    Attributes:
        width: pixels across.
        height: pixels from top to bottom.
        bits: of a value.
        channels: values a pixel.
        is_whole: it has its end.
    """

    width: int
    height: int
    bits: int
    channels: int
    is_whole: bool


def read_codestream(data):
    """Return the description of a compressed picture, or None where it is of another kind.

    Args:
        data: bytes of one compressed picture.
    """
    is_whole = data.rstrip(b"\0").endswith(_END)
    try:
        if data[:2] == b"\xff\xd8":
            return Codestream(*_jpeg(data), is_whole)
        start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
        if start >= 0:
            return Codestream(*_jpeg_2000(data, start + 4), is_whole)
    except (struct.error, IndexError):
        pass
    return None


def _jpeg(data):
    """Return width, height, bits and channels of a JPEG or JPEG-LS picture."""
    place = 2
    while True:
        # Fill bytes may stand before a marker.
        while data[place + 1] == 0xFF:
            place += 1
        if data[place] != 0xFF:
            raise IndexError(place)
        marker = data[place + 1]
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker in _JPEG_FRAMES or marker == _JPEG_LS_FRAME:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, place + 4)
            return width, height, bits, channels
        place += 2 + length


def _jpeg_2000(data, place):
    """Return width, height, bits and channels by a SIZ segment."""
    right, bottom, left, top = struct.unpack_from(">4I", data, place + 4)
    channels, bits = struct.unpack_from(">HB", data, place + 36)
    return right - left, bottom - top, (bits & 127) + 1, channels
