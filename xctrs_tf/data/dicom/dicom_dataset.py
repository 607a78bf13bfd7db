"""DICOM files parsed in bounded time: the header, and the pixels as bytes."""

import io
import struct

from xctrs_tf.data.dicom.dicom_start import without_preamble
from xctrs_tf.errors import UserError

# Overlays and notes of the maker stand before the pixels.
MAX_HEADER_BYTES = 2**25
# Some 5 s of parsing. An Enhanced CT has some 100 fields a frame, a film a few hundred.
MAX_READS = 400_000
# The deflated syntax is refused: its unpacked size cannot be bounded, and no machine
# writes it.
DEFLATED = "1.2.840.10008.1.2.1.99"
_UNDEFINED = 0xFFFFFFFF


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

    content = without_preamble(content)
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
