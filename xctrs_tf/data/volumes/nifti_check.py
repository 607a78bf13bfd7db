"""Check of NIfTI files for damage that SimpleITK's reader passes over in silence.

The reader pads a file that ends early, accepts a damaged gzip stream, and turns NaN
into 0 and a voxel size of 0 into 1 mm.
"""

import gzip
import math
import pathlib
import zlib

import numpy as np

from xctrs_tf.errors import UserError

# Size of the header in bytes (NIfTI-1, NIfTI-2) -> offset and type of its fields.
LAYOUTS = {
    348: {
        "dim": (40, "i2"),
        "datatype": (70, "i2"),
        "bitpix": (72, "i2"),
        "pixdim": (76, "f4"),
        "data": (108, "f4"),
    },
    540: {
        "dim": (16, "i8"),
        "datatype": (12, "i2"),
        "bitpix": (14, "i2"),
        "pixdim": (104, "f8"),
        "data": (168, "i8"),
    },
}
# NIfTI datatype code -> NumPy type.
FLOAT_TYPES = {16: "f4", 64: "f8"}


def check_nifti(path):
    """Refuse a NIfTI file that is damaged, cut short or not finite.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.

    Raises:
        UserError: damaged, cut short, not finite, or a voxel size of zero.
    """
    content = _read(pathlib.Path(path))
    order, layout = _layout(path, content)

    def field(name, count=1):
        offset, kind = layout[name]
        return np.frombuffer(content, order + kind, count, offset).tolist()

    rank, *lengths = field("dim", 8)
    (start,), (bits,), (datatype,) = field("data"), field("bitpix"), field("datatype")
    count = math.prod(lengths[: max(rank, 0)])
    if not (1 <= rank <= 7 and count > 0 and start >= 0 and bits > 0):
        raise UserError(f"{path}: damaged, or not a NIfTI file")
    if len(content) < start + count * bits // 8:
        raise UserError(f"{path}: ends before its last voxel; fetch the file again")
    edges = field("pixdim", 4)[1:]
    for edge, length in zip(edges, lengths[:rank], strict=False):
        if length > 1 and not 0 < abs(edge) < math.inf:
            raise UserError(f"{path}: a voxel size of {edge:g} mm; correct its header")
    if datatype in FLOAT_TYPES:
        values = np.frombuffer(content, order + FLOAT_TYPES[datatype], count, int(start))
        if not np.isfinite(values).all():
            raise UserError(f"{path}: holds NaN or infinite values; replace them first")


def _read(path):
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as stream:
            return stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged gzip; fetch the file again") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _layout(path, content):
    """Return byte order and layout by the header's size, which is its first number."""
    for order in "<>":
        size = np.frombuffer(content[:4].ljust(4, b"\0"), order + "i4").item()
        if size in LAYOUTS and len(content) >= size:
            return order, LAYOUTS[size]
    raise UserError(f"{path}: damaged, or not a NIfTI file")
