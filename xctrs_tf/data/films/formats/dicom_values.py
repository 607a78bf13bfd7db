"""Pixels of a DICOM film: decompressed, without foreign bits, rescaled and windowed."""

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_modality_lut, apply_voi, get_decoder
from pydicom.uid import RLELossless

from xctrs_tf.data.dicom.codestream import read_codestream
from xctrs_tf.data.dicom.dicom_numbers import number, numbers, whole_number
from xctrs_tf.data.dicom.frame_decoding import decode_frame
from xctrs_tf.errors import UserError

# A byte of run-length code may unpack to 64: half a gigabyte at most.
MAX_RLE_BYTES = 2**23
# A table of 65536 values of two bytes, and some more tables after it.
MAX_TABLE_BYTES = 2**20
# SimpleITK's decoders: JPEG of 8 and 12 bits, lossless JPEG, JPEG-LS, JPEG 2000.
_ITK_SYNTAXES = (
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"),
    *("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),
    *("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
    *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
)
# A window that leaves fewer of the pixels grey was made for other values.
MIN_GREY_SHARE = 0.05


def stored_values(path, image):
    """Decompress the pixels and keep the bits that belong to the film.

    Args:
        path: the file, for messages.
        image: `pydicom.Dataset` whose size was checked.

    Returns:
        Whole numbers ``[row, column]``, and bool of the same shape, True where there is
        padding and not the film.

    Raises:
        UserError: damaged, cut short, of an unknown compression, or larger than the header
            says.
    """
    layout = _Layout(path, image)
    syntax = image.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        raw, bits = _decompress(path, image, layout)
    else:
        raw, bits = _plain(path, image, layout), layout.allocated
    raw = raw.view(f"u{raw.dtype.itemsize}").astype(f"u{layout.allocated // 8}", copy=False)
    values = layout.own_bits(raw, bits)
    return values, layout.padding(raw, values)


def shown_values(path, image, values, padding):
    """Return the grey values that a viewer shows: rescaled, then through the window.

    Args:
        path: the file, for messages.
        image: `pydicom.Dataset`.
        values: as stored, ``[row, column]``.
        padding: bool, where there is no film.

    Returns:
        float32 array of the same shape.

    Raises:
        UserError: a window that leaves nothing of the film.
    """
    if _has_table(path, image, "ModalityLUTSequence"):
        values = apply_modality_lut(values, image)
    else:
        slope = number(path, image, "RescaleSlope", 1.0)
        if slope == 0:
            raise UserError(f"{path}: its RescaleSlope is 0; correct the header")
        values = values.astype(np.float32)
        values = values * np.float32(slope) + np.float32(
            number(path, image, "RescaleIntercept", 0.0)
        )
    if _has_table(path, image, "VOILUTSequence"):
        return apply_voi(np.rint(values).astype(np.int32), image).astype(np.float32)
    return _windowed(path, image, np.asarray(values, np.float32), padding)


def _has_table(path, image, keyword):
    """Return whether a sequence of tables is there, without unpacking a huge one."""
    if keyword not in image:
        return False
    value = image.get_item(keyword).value
    if isinstance(value, bytes) and len(value) > MAX_TABLE_BYTES:
        raise UserError(f"{path}: its {keyword} is too large; export the film as it is shown")
    return bool(image.get(keyword))


class _Layout:
    """Place of a value's bits in a stored number."""

    def __init__(self, path, image):
        self._path = path
        self.allocated = whole_number(path, image, "BitsAllocated")
        self.stored = whole_number(path, image, "BitsStored", self.allocated)
        self.high = whole_number(path, image, "HighBit", self.stored - 1)
        self.is_signed = whole_number(path, image, "PixelRepresentation", 0) == 1
        if self.allocated not in (8, 16, 32):
            raise UserError(
                f"{path}: its BitsAllocated is {self.allocated}; export the film with 8 or 16 bits"
            )
        if not (1 <= self.stored <= self.allocated and self.stored <= self.high + 1):
            raise self._contradiction()
        if self.high >= self.allocated:
            raise self._contradiction()
        self._padding = self._padding_range(image)

    def own_bits(self, raw, bits):
        """Return the values without the bits of overlays and the like.

        Args:
            raw: unsigned whole numbers as decompressed.
            bits: of a value, by the decompressor.
        """
        # Compressed values begin at the lowest bit, if no more bits than needed are there.
        shift = self.high + 1 - self.stored if bits > self.stored else 0
        if shift and self._is_at_the_lowest_bit(raw, shift):
            shift = 0
        above = self.allocated - min(self.stored, bits) - shift
        own = (raw << above) if above else raw
        if self.is_signed:
            own = own.view(f"i{raw.dtype.itemsize}")
        own = own >> (above + shift)
        if not shift and self._is_smoother(raw.view(own.dtype), own):
            raise UserError(
                f"{self._path}: its pixels need more bits than its BitsStored of {self.stored}; "
                "correct the header"
            )
        return own

    def padding(self, raw, values):
        """Return where stored numbers or values are those of padding."""
        if self._padding is None:
            return np.zeros(values.shape, bool)
        first, last = self._padding
        within = (values >= first) & (values <= last)
        # The value of padding may need more bits than the film's.
        return within | (raw == first % (1 << self.allocated))

    def _is_at_the_lowest_bit(self, raw, shift):
        """Return whether values begin at the lowest bit, against what the header says."""
        fits = not self.is_signed and raw.max() < 1 << self.stored
        return fits and bool((raw & ((1 << shift) - 1)).any())

    def _is_smoother(self, raw, own):
        """Return whether the picture is smoother with its upper bits than without them."""
        if np.array_equal(raw, own):
            return False
        # Some rows tell as well as all.
        every = 1 + len(raw) // 512
        steps = [
            np.abs(np.diff(each[::every].astype(np.float32), axis=1)).mean() for each in (raw, own)
        ]
        return steps[0] < steps[1]

    def _padding_range(self, image):
        first = numbers(self._path, image, "PixelPaddingValue")
        last = numbers(self._path, image, "PixelPaddingRangeLimit") or first
        if not first:
            return None
        return tuple(sorted((int(first[0]), int(last[0]))))

    def _contradiction(self):
        return UserError(
            f"{self._path}: its BitsAllocated {self.allocated}, BitsStored {self.stored} and "
            f"HighBit {self.high} contradict each other; correct the header"
        )


def _plain(path, image, layout):
    needed = image.Rows * image.Columns * layout.allocated // 8
    if image["PixelData"].is_undefined_length:
        raise UserError(
            f"{path}: compressed pixels, but a TransferSyntaxUID of uncompressed ones; export "
            "the film again"
        )
    # Filled up to an even number of bytes.
    if not needed <= len(image.PixelData) <= needed + 1:
        raise UserError(
            f"{path}: its Rows, Columns and BitsAllocated need {needed} bytes of PixelData, and "
            f"it has {len(image.PixelData)}; export the film again"
        )
    return _decode(image)


def _decompress(path, image, layout):
    """Return the decompressed pixels, and how many bits a value has."""
    syntax = image.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        if len(image.PixelData) > MAX_RLE_BYTES:
            raise UserError(
                f"{path}: over {MAX_RLE_BYTES / 1e6:.0f} MB of run-length code; export the film "
                "uncompressed"
            )
        return _decode(image), layout.allocated
    frame = next(generate_frames(image.PixelData, number_of_frames=1))
    found = read_codestream(frame)
    if syntax not in _ITK_SYNTAXES:
        raise UserError(
            f"{path}: compressed as {syntax.name}, which is not read; export the film uncompressed"
        )
    if found is None or not found.is_whole:
        raise UserError(f"{path}: its compressed picture is damaged; export the film again")
    if (found.width, found.height) != (image.Columns, image.Rows):
        raise UserError(
            f"{path}: its header says {image.Columns} x {image.Rows} pixels, its compressed "
            f"picture {found.width} x {found.height}; export the film again"
        )
    if found.channels != 1 or found.bits > layout.allocated:
        raise UserError(
            f"{path}: its compressed picture has {found.channels} x {found.bits} bits a pixel, "
            f"its header {layout.allocated}; export the film as grey"
        )
    # Pillow, which pydicom uses, knows no JPEG of more than 8 bits.
    if get_decoder(syntax).is_available and (found.bits <= 8 or ".4.5" not in syntax):
        return _decode(image), found.bits
    shape, allocated = (image.Rows, image.Columns), 8 if found.bits <= 8 else 16
    return decode_frame(path, frame, syntax, shape, allocated, found.bits, 0), found.bits


def _decode(image):
    syntax = image.file_meta.TransferSyntaxUID
    pixels, _ = get_decoder(syntax).as_array(
        image, index=0, raw=True, correct_unused_bits=False, apply_j2k_sign_correction=False
    )
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))


def _windowed(path, image, values, padding):
    centers, widths = (numbers(path, image, name) for name in ("WindowCenter", "WindowWidth"))
    # A width of 0 or less is written for "no window".
    if not centers or not widths or widths[0] <= 0:
        return values
    center, width = centers[0], widths[0]
    function = str(image.get("VOILUTFunction") or "LINEAR").upper()
    if function == "SIGMOID":
        shown = 1 / (1 + np.exp(-4 * (values - center) / width))
    elif function == "LINEAR" and width > 1:
        # PS3.3 C.11.2.1.2.1.
        shown = (values - (center - 0.5)) / (width - 1) + 0.5
    else:
        shown = (values - center) / width + 0.5
    own = shown[~padding]
    if own.size and np.mean((own > 0) & (own < 1)) < MIN_GREY_SHARE:
        raise UserError(
            f"{path}: its window (WindowCenter {center:g}, WindowWidth {width:g}) leaves nothing "
            "of the film; correct or remove both fields"
        )
    return np.clip(shown, 0, 1).astype(np.float32)
