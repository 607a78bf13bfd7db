"""Tags of a TIFF picture that decide how its pixels are to be understood.

Pillow inverts a picture whose zero is white at some depths and byte orders, refuses it at
others and leaves it dark-boned at the rest. It reads whole numbers without a sign as
signed ones, and turns the picture by itself in some versions. Here the tags are read
first, and Pillow gets a picture that is upright and whose zero is black.
"""

import math
import struct

import numpy as np

from xctrs_tf.errors import UserError

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 274
_COMPRESSION, _FILL_ORDER = 259, 266
_ROWS_PER_STRIP, _STRIP_BYTES = 278, 279
_SAMPLES, _X_RESOLUTION, _Y_RESOLUTION, _SAMPLE_FORMAT = 277, 282, 283, 339
_NAMES = {
    _WIDTH: "ImageWidth",
    _HEIGHT: "ImageLength",
    _BITS: "BitsPerSample",
    _PHOTOMETRIC: "PhotometricInterpretation",
    _ORIENTATION: "Orientation",
    _COMPRESSION: "Compression",
    _FILL_ORDER: "FillOrder",
    _SAMPLES: "SamplesPerPixel",
    _ROWS_PER_STRIP: "RowsPerStrip",
    _STRIP_BYTES: "StripByteCounts",
    _X_RESOLUTION: "XResolution",
    _Y_RESOLUTION: "YResolution",
    _SAMPLE_FORMAT: "SampleFormat",
}
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_COLOURS = {5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab", 10: "Lab"}
_UNSIGNED, _SIGNED = 1, 2
# Type of a field -> format of a value; others are not needed.
_TYPES = {1: "B", 3: "H", 4: "I", 5: "II", 16: "Q"}
_MAX_TAGS = 4096
_UNCOMPRESSED = 1


def is_tiff(content):
    """Return whether a file is TIFF, by its first bytes."""
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class TiffHeader:
    """The first directory of a TIFF file.

    Args:
        path: the file, for messages.
        content: its bytes.

    Attributes:
        bits: of a value.
        orientation: 1 to 8, as in EXIF.
        pixel_shape: width and height of a pixel in any unit, by the resolutions.

    Raises:
        UserError: damaged, of colours, or without a tag that is needed.
    """

    def __init__(self, path, content):
        self._path, self._content = path, content
        self._order = "<" if content[:2] == b"II" else ">"
        self._places = self._read_directory(content[2:4] in (b"+\0", b"\0+"))
        for tag in (_WIDTH, _HEIGHT, _PHOTOMETRIC):
            if tag not in self._places:
                raise UserError(f"{path}: its tag {_NAMES[tag]} is missing; export the film again")
        self._photometric = self._value(_PHOTOMETRIC)
        if self._photometric in _COLOURS:
            raise UserError(
                f"{path}: a colour picture ({_COLOURS[self._photometric]}); export the film as "
                "8- or 16-bit grey"
            )
        self.bits = self._value(_BITS, 1)
        if self._value(_FILL_ORDER, 1) != 1 and self.bits > 1:
            raise UserError(
                f"{path}: its FillOrder is {self._value(_FILL_ORDER)}, which programs read in two "
                "ways; export the film with FillOrder 1"
            )
        self._format = self._value(_SAMPLE_FORMAT, _UNSIGNED)
        self.orientation = self._value(_ORIENTATION, 1)
        self.pixel_shape = self._pixel_shape()
        self._check_strips()

    def plain(self):
        """Return the file with upright pixels whose zero is black, for a reader."""
        content = bytearray(self._content)
        if self._photometric == _WHITE_IS_ZERO:
            self._write(content, _PHOTOMETRIC, _BLACK_IS_ZERO)
        if _ORIENTATION in self._places:
            self._write(content, _ORIENTATION, 1)
        return bytes(content)

    @property
    def kind(self):
        """Depth, kind of number and byte order in words."""
        number = {_UNSIGNED: "", _SIGNED: " signed", 3: " floating"}.get(self._format, " unknown")
        order = "little-endian" if self._order == "<" else "big-endian"
        return f"{self.bits} bits{number}, {order}"

    def values(self, pixels):
        """Return the film's values of the pixels that a reader got of `plain`.

        Args:
            pixels: array ``[row, column]``.

        Returns:
            Array of the same shape, with a sign or without, zero dark.
        """
        if self.bits == 32 and self._format == _UNSIGNED and pixels.dtype == np.int32:
            pixels = pixels.view(np.uint32)
        if self.bits == 8 and self._format == _SIGNED and pixels.dtype == np.uint8:
            pixels = pixels.view(np.int8)
        if self._photometric == _WHITE_IS_ZERO:
            return -pixels.astype(np.float32)
        return pixels

    def _read_directory(self, big):
        """Return type, count and place of the value of each tag that is needed."""
        count_format, entry_bytes, inline = ("Q", 20, 8) if big else ("H", 12, 4)
        (start,) = self._unpack("Q" if big else "I", 8 if big else 4)
        (count,) = self._unpack(count_format, start)
        if count > _MAX_TAGS:
            raise self._damaged()
        first, places = start + struct.calcsize(count_format), {}
        for entry in range(first, first + count * entry_bytes, entry_bytes):
            tag, kind, length = self._unpack("HHQ" if big else "HHI", entry)
            if tag not in _NAMES:
                continue
            if tag in places:
                raise UserError(
                    f"{self._path}: its tag {_NAMES[tag]} is there twice; export the film again"
                )
            if kind not in _TYPES or length < 1:
                raise self._damaged()
            place = entry + entry_bytes - inline
            if struct.calcsize(self._order + _TYPES[kind]) * length > inline:
                (place,) = self._unpack("Q" if big else "I", place)
            places[tag] = kind, length, place
        return places

    def _value(self, tag, default=None):
        """Return the first value of a tag; a ratio as a float."""
        if tag not in self._places:
            return default
        kind, _, place = self._places[tag]
        values = self._unpack(_TYPES[kind], place)
        if len(values) == 1:
            return values[0]
        return values[0] / values[1] if values[1] else math.inf

    def _pixel_shape(self):
        across, up = self._value(_X_RESOLUTION, 1.0), self._value(_Y_RESOLUTION, 1.0)
        if _X_RESOLUTION not in self._places or _Y_RESOLUTION not in self._places:
            return 1.0, 1.0
        # Programs that know no resolution write zeros.
        if not (0 < across < math.inf and 0 < up < math.inf):
            return 1.0, 1.0
        return max(across, up) / across, max(across, up) / up

    def _check_strips(self):
        """Refuse uncompressed strips of other lengths than the tags for the pixels say."""
        if self._value(_COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED:
            return
        if _STRIP_BYTES not in self._places:
            return
        kind, count, place = self._places[_STRIP_BYTES]
        height, samples = self._value(_HEIGHT), self._value(_SAMPLES, 1)
        rows = min(self._value(_ROWS_PER_STRIP, height), height)
        row_bytes = -(-self._value(_WIDTH) * self.bits * samples // 8)
        strips = -(-height // rows) if rows else 0
        if count != strips or len(_TYPES[kind]) > 1:
            raise self._damaged()
        lengths = self._unpack(f"{count}{_TYPES[kind]}", place)
        expected = [row_bytes * rows] * (strips - 1) + [row_bytes * (height - rows * (strips - 1))]
        if list(lengths) != expected:
            raise UserError(
                f"{self._path}: its tags say {sum(expected)} bytes of pixels and its strips have "
                f"{sum(lengths)}; export the film again"
            )

    def _write(self, content, tag, value):
        kind, _, place = self._places[tag]
        if len(_TYPES[kind]) > 1:
            raise self._damaged()
        struct.pack_into(self._order + _TYPES[kind], content, place, value)

    def _unpack(self, form, place):
        try:
            return struct.unpack_from(self._order + form, self._content, place)
        except struct.error as error:
            raise self._damaged() from error

    def _damaged(self):
        return UserError(f"{self._path}: damaged, or not a PNG, TIFF or JPEG picture")
