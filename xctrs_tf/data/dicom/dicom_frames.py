"""Stored pixels of DICOM frames, without rescaling."""

import numpy as np

from xctrs_tf.data.dicom.codestream import read_codestream
from xctrs_tf.data.dicom.frame_decoding import decode_frame
from xctrs_tf.errors import UserError

# BitsAllocated and PixelRepresentation -> NumPy type.
PIXEL_TYPES = {
    (8, 0): np.uint8,
    (8, 1): np.int8,
    (16, 0): np.uint16,
    (16, 1): np.int16,
    (32, 0): np.uint32,
    (32, 1): np.int32,
}
# Bytes of code for a byte of pixels: above, something else is in the frame.
_MOST_CODE = 4


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
        bits = int(header.BitsAllocated), int(header.BitsStored), int(header.PixelRepresentation)
        yield decode_frame(file, frame, syntax, shape, *bits).astype(kind, copy=False)


def _uncompressed(file, content, count, shape, kind):
    pixels = count * shape[0] * shape[1]
    if len(content) < pixels * kind.itemsize:
        raise UserError(f"{file}: ends before its last pixel; fetch it again")
    return np.frombuffer(content, kind, pixels).reshape(count, *shape)


def _check_code(file, frame, shape):
    """Refuse code that would unpack to another number of pixels than the header says."""
    found = read_codestream(frame)
    if found is None:
        return
    if (found.height, found.width, found.channels) != (*shape, 1):
        raise UserError(
            f"{file}: its header says {shape[1]} x {shape[0]} x 1 values, its compressed picture "
            f"{found.width} x {found.height} x {found.channels}; export it again"
        )
    if not found.is_whole:
        raise UserError(f"{file}: its compressed picture is cut short; fetch it again")
