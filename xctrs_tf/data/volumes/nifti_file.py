"""NIfTI files, decoded here: header, place in space and voxels.

SimpleITK's reader would choose between ``ct.nii`` and ``ct.nii.gz`` by itself, pad a
file that ends early, mirror an axis of negative size, and give a file without any
orientation one.
"""

import math

import numpy as np

from xctrs_tf.data.checked_file import check_end, read_checked, read_start
from xctrs_tf.data.volumes.stored_image import StoredImage, check_bytes
from xctrs_tf.errors import UserError

# Size of the header in bytes (NIfTI-1, NIfTI-2) -> offset, type and count of its fields.
_LAYOUTS = {
    348: {
        "dim": (40, "i2", 8),
        "datatype": (70, "i2", 1),
        "bitpix": (72, "i2", 1),
        "pixdim": (76, "f4", 8),
        "vox_offset": (108, "f4", 1),
        "scaling": (112, "f4", 2),
        "xyzt_units": (123, "u1", 1),
        "qform_code": (252, "i2", 1),
        "sform_code": (254, "i2", 1),
        "quaternion": (256, "f4", 6),
        "sform": (280, "f4", 12),
        "magic": (344, "S4", 1),
    },
    540: {
        "dim": (16, "i8", 8),
        "datatype": (12, "i2", 1),
        "bitpix": (14, "i2", 1),
        "pixdim": (104, "f8", 8),
        "vox_offset": (168, "i8", 1),
        "scaling": (176, "f8", 2),
        "xyzt_units": (500, "i4", 1),
        "qform_code": (344, "i4", 1),
        "sform_code": (348, "i4", 1),
        "quaternion": (352, "f8", 6),
        "sform": (400, "f8", 12),
        "magic": (4, "S4", 1),
    },
}
_MAGIC = (b"n+1", b"n+2")
_DETACHED = (b"ni1", b"ni2")
# NIfTI datatype code -> NumPy type.
_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
# Complex numbers and colours.
_SEVERAL_VALUES = (32, 128, 1792, 2048, 2304)
# Code of the unit of length -> mm.
_UNIT_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
_RAS_TO_LPS = np.array([[-1.0], [-1.0], [1.0]])
# Sizes and directions of the header's two places may differ by rounding.
_SAME_SIZE = 0.01
_SAME_DIRECTION_DEG = 1.0
# Zeros may follow the voxels.
_SLACK_BYTES = 2**20
_PART = 2**22


def read_nifti(path, check_shape=None):
    """Read a NIfTI file, gzip or not.

    Args:
        path: the file.
        check_shape: function of the shape that refuses too large images; it is called
            before the voxels are read.

    Returns:
        `StoredImage` in index order.

    Raises:
        UserError: damaged, cut short, too large, not finite, of several values a voxel,
            a voxel size of zero, or two places in space that contradict each other.
    """
    header = _Header(path, read_start(path, max(_LAYOUTS)))
    if check_shape:
        check_shape(header.shape)
    check_bytes(path, header.shape, header.kind)
    content = read_checked(path, header.end + _SLACK_BYTES)
    # The file may have changed since its start was read.
    header = _Header(path, content)
    check_end(path, content, header.end)
    values = np.frombuffer(content, header.kind, header.count, header.start)
    if header.kind.kind == "f" and not np.isfinite(values).all():
        raise UserError(f"{path}: holds NaN or infinite values; replace them first")
    values = header.scaled(values).reshape(header.shape, order="F")
    return StoredImage(values, header.spacing_mm(), header.affine())


def read_nifti_affine(path):
    """Read the place of a NIfTI file in space, without its voxels.

    Args:
        path: the file.

    Returns:
        Shape, and the affine matrix ``3 x 4`` from index to LPS position in mm, or None if the
        file has none.

    Raises:
        UserError: as `read_nifti`, as far as the header tells.
    """
    header = _Header(path, read_start(path, max(_LAYOUTS)))
    return header.shape, header.affine()


class _Header:
    """Checked fields of a header: shape, type and place of the voxels."""

    def __init__(self, path, content):
        self.path = path
        order, layout = self._layout(content)
        self._fields = {
            name: np.frombuffer(content, kind if kind[0] == "S" else order + kind, count, offset)
            for name, (offset, kind, count) in layout.items()
        }
        magic = self._field("magic")[0][:3]
        if magic in _DETACHED:
            raise self._error("its voxels are in another file; save it as one .nii file")
        if magic not in _MAGIC:
            raise self._error("damaged, or not a NIfTI file")
        self.shape = self._shape()
        self.count = math.prod(self.shape)
        self.kind = np.dtype(self._kind()).newbyteorder(order)
        start = float(self._field("vox_offset")[0])
        if not (min(_LAYOUTS) <= start <= 2**31 and start.is_integer()):
            raise self._error("damaged, or not a NIfTI file: vox_offset is wrong")
        self.start = int(start)
        self.end = self.start + self.count * self.kind.itemsize

    def scaled(self, values):
        """Return the voxels by the header's slope and intercept, in the machine's byte order."""
        slope, intercept = map(float, self._field("scaling"))
        # A slope of 0 means no scaling; some programs write NaN for it.
        if slope == 0 or math.isnan(slope) or (slope, intercept) == (1, 0):
            return values.astype(values.dtype.newbyteorder("="), copy=False)
        intercept = 0.0 if math.isnan(intercept) else intercept
        whole = values.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer()
        if whole:
            slope, intercept = int(slope), int(intercept)
            ends = [int(end) * slope + intercept for end in (values.min(), values.max())]
            whole = max(map(abs, ends)) < 2**15 and max(abs(slope), abs(intercept)) < 2**31
        scaled = np.empty(values.shape, np.int16 if whole else np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            # In parts: the products are of eight bytes each.
            for start in range(0, len(values), _PART):
                part = values[start : start + _PART]
                part = part.astype(np.int64) * slope if whole else part * float(slope)
                scaled[start : start + _PART] = part + intercept
        if not np.isfinite(scaled).all():
            raise self._error(f"its scl_slope is {slope:g}; correct its header")
        return scaled

    def spacing_mm(self):
        """Return the size of a voxel along each index, in mm."""
        spacing_mm = np.abs(self._pixdim()[: len(self.shape)]) * self._unit_mm()
        if self._field("sform_code")[0] > 0:
            columns = np.linalg.norm(self._sform()[:, :3], axis=0)[: len(spacing_mm)]
            for axis, edge in enumerate(columns):
                # The numbers of pixdim are rounded only once.
                if self.shape[axis] > 1 and not math.isclose(edge, spacing_mm[axis], rel_tol=1e-5):
                    spacing_mm[axis] = edge
        return tuple(spacing_mm.tolist())

    def affine(self):
        """Return the affine matrix ``3 x 4`` to LPS in mm, or None if the header has none."""
        has_qform = self._field("qform_code")[0] > 0
        has_sform = self._field("sform_code")[0] > 0
        if not (has_qform or has_sform):
            return None
        if has_qform and has_sform:
            self._check_agreement(self._sform()[:, :3], self._qform()[:, :3])
        if has_sform:
            self._check_sizes(self._sform()[:, :3])
        elif (self._pixdim() < 0).any():
            raise self._error("a negative pixdim and no sform: an axis may be mirrored; correct it")
        affine = self._sform() if has_sform else self._qform()
        spacing_mm = (*self.spacing_mm(), 1.0, 1.0)[:3]
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = affine[:, :3] / np.linalg.norm(affine[:, :3], axis=0)
        return _RAS_TO_LPS * np.column_stack([unit * spacing_mm, affine[:, 3]])

    def _layout(self, content):
        """Return byte order and layout by the header's size, which is its first number."""
        for order in "<>":
            size = np.frombuffer(content[:4].ljust(4, b"\0"), order + "i4").item()
            if size in _LAYOUTS and len(content) >= size:
                return order, _LAYOUTS[size]
        raise self._error("damaged, or not a NIfTI file")

    def _shape(self):
        rank, *lengths = self._field("dim").tolist()
        if not 1 <= rank <= 7 or min(lengths[:rank]) < 1:
            raise self._error("damaged, or not a NIfTI file: dim is wrong")
        while rank > 3 and lengths[rank - 1] == 1:
            rank -= 1
        return tuple(lengths[:rank])

    def _kind(self):
        code, bits = int(self._field("datatype")[0]), int(self._field("bitpix")[0])
        if code in _SEVERAL_VALUES:
            raise self._error("several values a voxel; one channel is needed")
        if code not in _TYPES:
            raise self._error(f"datatype {code} is not read; save it as 16-bit whole numbers")
        if bits != 8 * np.dtype(_TYPES[code]).itemsize:
            raise self._error(f"damaged, or not a NIfTI file: bitpix {bits} for datatype {code}")
        return _TYPES[code]

    def _pixdim(self):
        edges = self._field("pixdim")[1:4].astype(float)
        for edge, length in zip(edges, self.shape, strict=False):
            if length > 1 and not 0 < abs(edge) < math.inf:
                raise self._error(f"a voxel size of {edge:g} mm; correct its header")
        return edges

    def _unit_mm(self):
        return _UNIT_MM.get(int(self._field("xyzt_units")[0]) & 7, 1.0)

    def _sform(self):
        sform = self._field("sform").astype(float).reshape(3, 4) * self._unit_mm()
        if not np.isfinite(sform).all():
            raise self._error("an sform that is not finite; correct its header")
        return sform

    def _qform(self):
        """Return the RAS affine matrix of the quaternion and pixdim."""
        b, c, d, *offset = self._field("quaternion").astype(float)
        length = b * b + c * c + d * d
        if not length < 1.01 or not np.isfinite(offset).all():
            raise self._error("a quaternion that is no rotation; correct its header")
        a = math.sqrt(max(0.0, 1.0 - length))
        b, c, d = np.array([b, c, d]) / math.sqrt(max(1.0, length))
        rotation = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        # The first number of pixdim tells whether the axes are right-handed.
        if self._field("pixdim")[0] < 0:
            rotation[:, 2] *= -1
        sizes = np.abs(self._pixdim()) * self._unit_mm()
        return np.column_stack([rotation * sizes, np.array(offset) * self._unit_mm()])

    def _check_agreement(self, sform, qform):
        for axis in self._used_axes():
            first, second = sform[:, axis], qform[:, axis]
            lengths = np.linalg.norm(first) * np.linalg.norm(second)
            cosine = first @ second / lengths if lengths else 0.0
            degrees = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
            if not degrees <= _SAME_DIRECTION_DEG:
                raise self._error(
                    f"its sform and qform differ by {degrees:.0f} degrees along axis {axis + 1}; "
                    "set the code of the wrong one to 0"
                )

    def _check_sizes(self, sform):
        pixdim = np.abs(self._pixdim()) * self._unit_mm()
        for axis in self._used_axes():
            edge = float(np.linalg.norm(sform[:, axis]))
            if not math.isclose(edge, pixdim[axis], rel_tol=_SAME_SIZE):
                raise self._error(
                    f"its sform has voxels of {edge:g} mm along axis {axis + 1}, its pixdim of "
                    f"{pixdim[axis]:g} mm; correct the wrong one"
                )

    def _used_axes(self):
        return [axis for axis, length in enumerate(self.shape[:3]) if length > 1]

    def _field(self, name):
        return self._fields[name]

    def _error(self, words):
        return UserError(f"{self.path}: {words}")
