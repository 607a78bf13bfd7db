"""Stored pixels of DICOM frames, without rescaling: uncompressed by pydicom, else by GDCM.

GDCM is in SimpleITK. It gets a file of nothing but the pixels, so that no other field of
the header, such as the SOP class or MONOCHROME1, changes what it gives back.
"""

import io
import struct

import numpy as np

from xctrs_tf.data.volumes.checked_file import alone
from xctrs_tf.errors import UserError

# Overlays and notes of the maker stand before the pixels.
MAX_HEADER_BYTES = 2**25
# Some 5 s of parsing. An Enhanced CT has some 100 fields a frame, a film a few hundred.
MAX_READS = 400_000
# The deflated syntax is refused: its unpacked size cannot be bounded, and no machine
# writes it.
DEFLATED = "1.2.840.10008.1.2.1.99"
# BitsAllocated and PixelRepresentation -> NumPy type.
PIXEL_TYPES = {
    (8, 0): np.uint8,
    (8, 1): np.int8,
    (16, 0): np.uint16,
    (16, 1): np.int16,
    (32, 0): np.uint32,
    (32, 1): np.int32,
}
# A plain image: GDCM changes no value of it.
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Bytes of code for a byte of pixels: above, something else is in the frame.
_MOST_CODE = 4
# The markers before the size of a JPEG or JPEG-LS and of a JPEG 2000 stream.
_JPEG_SIZES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_UNDEFINED = 0xFFFFFFFF
_END = b"\xff\xd9"
_JPEG2000_SIZE = b"\xff\x4f\xff\x51"


class BoundedStream(io.BytesIO):
    """Bytes that a parser may read in a limited number of pieces.

    Args:
        file: its name, for the error.
        content: its bytes.
        max_reads: number of pieces.
    """

    def __init__(self, file, content, max_reads):
        super().__init__(content)
        self._file, self._left = file, max_reads

    def read(self, size=-1):
        """Return the next bytes."""
        self._left -= 1
        self.check()
        return super().read(size)

    def check(self):
        """Refuse the file once too many pieces were read; parsers turn the error into others."""
        if self._left < 0:
            raise UserError(f"{self._file}: too many fields in its header; export it again")


def read_dataset(file, content, max_reads=MAX_READS):
    """Parse a DICOM file in bounded time: its header, and its pixels as bytes.

    Args:
        file: its name, for the error.
        content: its bytes.
        max_reads: pieces that its header may have.

    Returns:
        pydicom dataset, whose PixelData, if any, is set; what follows it is left out.

    Raises:
        UserError: deflated, a long header, or other bytes after the pixels than the header says.
        Exception: what pydicom raises where the file is damaged.
    """
    import pydicom

    if _transfer_syntax(file, content, max_reads) == DEFLATED:
        raise UserError(f"{file}: a deflated DICOM file; export it uncompressed")
    stream = BoundedStream(file, content[:MAX_HEADER_BYTES], max_reads)
    try:
        header = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
    finally:
        stream.check()
    implicit, little = header.original_encoding
    start = stream.tell()
    order = "<" if little else ">"
    if content[start : start + 4] != struct.pack(order + "HH", 0x7FE0, 0x0010):
        if len(content) > MAX_HEADER_BYTES:
            raise UserError(
                f"{file}: no pixels in its first {MAX_HEADER_BYTES / 1e6:.0f} MB; export it again"
            )
        return header
    (length,) = struct.unpack_from(order + "I", content, start + (4 if implicit else 8))
    kind = "OW" if implicit else bytes(content[start + 4 : start + 6]).decode("ascii", "replace")
    start += 8 if implicit else 12
    end = len(content) if length == _UNDEFINED else start + length
    # Tags ascend in a file: others after the pixels are pixels that were shifted.
    if len(content) - end >= 4:
        group, _ = struct.unpack_from(order + "HH", content, end)
        if group < 0x7FE0:
            raise UserError(
                f"{file}: more bytes after its pixels than its header says; fetch it again"
            )
    header.PixelData = bytes(content[start:end])
    # Programs that do not know the field write UN.
    header["PixelData"].VR = kind if kind in ("OB", "OW") else "OW"
    header["PixelData"].is_undefined_length = length == _UNDEFINED
    return header


def _transfer_syntax(file, content, max_reads):
    """Return the transfer syntax before anything is unpacked; None where none is given."""
    from pydicom.filereader import data_element_generator, read_preamble

    stream = BoundedStream(file, content, max_reads)
    read_preamble(stream, force=True)
    for element in data_element_generator(
        stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2
    ):
        if element.tag == 0x00020010:
            return element.value.decode("ascii", "replace").strip("\0 ")
    return None


def stored_frames(file, header, count):
    """Yield the frames of a file as they are stored.

    Args:
        file: its name, for the error.
        header: pydicom dataset with its pixels; Rows, Columns, BitsAllocated and
            PixelRepresentation were checked.
        count: how many frames there are.

    Yields:
        ``[row, column]`` of the type of the header.

    Raises:
        UserError: too few pixels, or compressed frames that are damaged or of another size.
    """
    from pydicom.encaps import generate_frames

    kind = np.dtype(PIXEL_TYPES[int(header.BitsAllocated), int(header.PixelRepresentation)])
    shape = int(header.Rows), int(header.Columns)
    content = header.get("PixelData")
    if content is None:
        raise UserError(f"{file}: no PixelData; export it again")
    syntax = header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else None
    if syntax is None or not syntax.is_compressed:
        order = "<" if header.original_encoding[1] else ">"
        frames = _uncompressed(file, content, count, shape, kind.newbyteorder(order))
        yield from (frame.astype(kind, copy=False) for frame in frames)
        return
    limit = _MOST_CODE * shape[0] * shape[1] * kind.itemsize + 2**16
    if len(content) > count * limit:
        raise UserError(f"{file}: compressed to more bytes than its pixels have; export it again")
    for frame in generate_frames(content, number_of_frames=count):
        _check_code(file, frame, shape)
        yield _decode(file, header, syntax, frame, shape).astype(kind, copy=False)


def _uncompressed(file, content, count, shape, kind):
    pixels = count * shape[0] * shape[1]
    if len(content) < pixels * kind.itemsize:
        raise UserError(f"{file}: ends before its last pixel; fetch it again")
    return np.frombuffer(content, kind, pixels).reshape(count, *shape)


def _check_code(file, frame, shape):
    """Refuse code that would unpack to another number of pixels than the header says."""
    size = _coded_size(frame)
    if size is not None and size != (*shape, 1):
        raise UserError(
            f"{file}: its header says {shape[1]} x {shape[0]} x 1 values, its compressed picture "
            f"{size[1]} x {size[0]} x {size[2]}; export it again"
        )
    if size is not None and not frame.rstrip(b"\0").endswith(_END):
        raise UserError(f"{file}: its compressed picture is cut short; fetch it again")


def _coded_size(frame):
    """Return rows, columns and values a pixel of JPEG, JPEG-LS or JPEG 2000 code, or None."""
    place = frame.find(_JPEG2000_SIZE, 0, 4096)
    if place >= 0:
        width, height, left, top, *_, values = struct.unpack_from(">8IH", frame, place + 8)
        return height - top, width - left, values
    if not frame.startswith(b"\xff\xd8"):
        return None
    place = 2
    while place + 10 <= len(frame):
        marker, length = struct.unpack_from(">2sH", frame, place)
        if marker[0] != 0xFF:
            return None
        if marker[1] in _JPEG_SIZES:
            return struct.unpack_from(">HHB", frame, place + 5)
        place += 2 + length
    return None


def _decode(file, header, syntax, frame, shape):
    import SimpleITK as sitk
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import RLELossless

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = _SECONDARY_CAPTURE
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = _SECONDARY_CAPTURE, "2.25.1"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    for keyword in (
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    ):
        setattr(data, keyword, header.get(keyword))
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    if syntax == RLELossless:
        return data.pixel_array
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    with alone(stream.getvalue(), "frame.dcm") as copy:
        try:
            image = sitk.ReadImage(str(copy), imageIO="GDCMImageIO")
        except RuntimeError as error:
            raise UserError(
                f"{file}: its pixels, compressed as {syntax.name}, are damaged or of a kind that "
                "is not read; export it uncompressed"
            ) from error
    array = sitk.GetArrayFromImage(image)
    if array.size != shape[0] * shape[1]:
        raise UserError(f"{file}: compressed pixels of another size; export it again")
    return array.reshape(shape)
