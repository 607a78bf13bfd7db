"""NRRD and MetaImage files of one piece, decoded here: a text header, then the voxels.

A header may name any other file for the voxels, or unpack to more than it says:
SimpleITK's readers would follow it.
"""

import dataclasses
import math
import re
import zlib

import numpy as np

from xctrs_tf.data.checked_file import check_end, printable, read_checked, read_start
from xctrs_tf.data.volumes.stored_image import StoredImage, check_bytes
from xctrs_tf.errors import UserError

_MAX_HEADER_BYTES = 2**16
_NUMBER = r"[^\s(),]+"
_VECTOR = re.compile(r"\(([^()]*)\)")
_NRRD_MAGIC = b"NRRD000"
_NRRD_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(
        ("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"
    ),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
# Axes of the named spaces -> signs that turn them to LPS.
_NRRD_SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), (1, 1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1, -1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1, -1, 1)),
}
_META_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_ELSEWHERE = "its pixels are in another file; save the image as one"


@dataclasses.dataclass(frozen=True)
class _Header:
    """Fields of a header; `StoredImage` explains the place in space."""

    shape: tuple
    kind: np.dtype
    packed: bool
    start: int
    spacing_mm: tuple
    affine: np.ndarray | None


def read_text_header_file(path, check_shape=None):
    """Read an NRRD (``.nrrd``) or MetaImage (``.mha``) file of one piece.

    Args:
        path: the file.
        check_shape: function of the shape that refuses too large images; it is called
            before the voxels are read.

    Returns:
        `StoredImage` in index order.

    Raises:
        UserError: damaged, cut short, too large, not finite, of several values a voxel,
            or its voxels are in another file.
    """
    header = _parse(path, read_start(path, _MAX_HEADER_BYTES))
    if check_shape:
        check_shape(header.shape)
    check_bytes(path, header.shape, header.kind)
    size = math.prod(header.shape) * header.kind.itemsize
    content = read_checked(path, header.start + size + _MAX_HEADER_BYTES)
    # The file may have changed since its start was read.
    header = _parse(path, content[:_MAX_HEADER_BYTES])
    data = memoryview(content)[header.start :]
    if header.packed:
        data = _unpack(path, data, size)
    else:
        check_end(path, content, header.start + size)
    values = np.frombuffer(data, header.kind, math.prod(header.shape))
    if header.kind.kind == "f" and not np.isfinite(values).all():
        raise UserError(f"{path}: holds NaN or infinite values; replace them first")
    values = values.astype(header.kind.newbyteorder("="), copy=False)
    return StoredImage(values.reshape(header.shape, order="F"), header.spacing_mm, header.affine)


def _parse(path, content):
    try:
        if content.startswith(_NRRD_MAGIC):
            return _parse_nrrd(path, *_nrrd_fields(path, content))
        return _parse_meta(path, *_meta_fields(path, content))
    except (KeyError, ValueError, IndexError, OverflowError) as error:
        raise UserError(
            f"{path}: damaged, or not a NIfTI, NRRD or MetaImage volume ({_words(error)})"
        ) from error


def _words(error):
    if isinstance(error, KeyError):
        return f"{printable(str(error.args[0]))} is missing or unknown"
    return printable(str(error))


def _unpack(path, data, size):
    # 47: the header of gzip or of zlib.
    stream = zlib.decompressobj(wbits=47)
    try:
        unpacked = stream.decompress(data, size + 1)
        whole = len(unpacked) == size and (stream.eof or not stream.decompress(b"", 1))
    except zlib.error as error:
        raise UserError(f"{path}: damaged compression; fetch the file again") from error
    if not (whole and stream.eof):
        raise UserError(
            f"{path}: its header says {size} bytes of voxels, and it unpacks to another number; "
            "fetch the file again"
        )
    return unpacked


def _lines(path, content):
    """Yield each line of a header, and where the next one starts."""
    place = 0
    while (end := content.find(b"\n", place)) >= 0:
        line = bytes(content[place:end]).removesuffix(b"\r")
        if b"\r" in line:
            raise UserError(f"{path}: line ends of CR in its header; save the image again")
        place = end + 1
        yield line.decode("utf-8", "replace"), place
    raise ValueError("its header does not end")


def _nrrd_fields(path, content):
    """Return the fields of an NRRD header, by their names in small letters, and the end."""
    fields = {}
    lines = _lines(path, content)
    next(lines)
    for line, end in lines:
        if not line:
            return fields, end
        if line.startswith("#") or ":=" in line:
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"no field in {line[:20]!r}")
        name = " ".join(name.lower().split())
        if name in fields:
            raise ValueError(f"{name} twice")
        fields[name] = value.strip()
    raise ValueError("its header does not end")


def _parse_nrrd(path, fields, start):
    if {"data file", "datafile"} & fields.keys():
        raise UserError(f"{path}: {_ELSEWHERE}")
    skips = ("byte skip", "byteskip", "line skip", "lineskip")
    if any(int(fields.get(name, 0)) for name in skips):
        raise UserError(f"{path}: skips bytes before its voxels; save the image again")
    encoding = fields["encoding"].lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise UserError(
            f"{path}: encoding {printable(encoding)!r} is not read; save it as raw or gzip"
        )
    kind = np.dtype(_NRRD_TYPES[" ".join(fields["type"].lower().split())])
    if kind.itemsize > 1:
        kind = kind.newbyteorder({"little": "<", "big": ">"}[fields["endian"].lower()])
    shape = _shape(fields["sizes"], int(fields["dimension"]))
    kinds = fields.get("kinds", "").lower().split()
    if any(kind not in ("domain", "space", "???", "none") for kind in kinds):
        raise UserError(f"{path}: several values a voxel; one channel is needed")
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", ""))) - {"", "mm"}
    if units:
        raise UserError(f"{path}: space units {printable(min(units))!r}; save it in mm")
    spacing_mm, affine = (1.0,) * len(shape), None
    if "space directions" in fields:
        vectors = [_numbers(vector) for vector in _VECTOR.findall(fields["space directions"])]
        others = set(_VECTOR.sub(" ", fields["space directions"]).split()) - {"none"}
        if len(vectors) != len(shape) or others:
            raise ValueError("space directions are not one for each axis")
        spacing_mm = tuple(math.hypot(*vector) for vector in vectors)
        signs = _NRRD_SPACES.get(fields.get("space", "").lower())
        if signs and len(shape) == 3:
            origin = _numbers(fields["space origin"].strip("()"))
            affine = np.array(signs)[:, None] * np.column_stack([*vectors, origin])
    elif "spacings" in fields:
        spacing_mm = tuple(map(abs, _numbers(fields["spacings"])))
        if len(spacing_mm) != len(shape):
            raise ValueError("spacings are not one for each axis")
    return _Header(shape, kind, encoding != "raw", start, spacing_mm, affine)


def _meta_fields(path, content):
    """Return the fields of a MetaImage header, by their names in small letters, and the end."""
    fields = {}
    for line, end in _lines(path, content):
        name, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"no field in {line[:20]!r}")
        name = name.strip().lower()
        if name in fields and name != "comment":
            raise ValueError(f"{name} twice")
        fields[name] = value.strip()
        if name == "elementdatafile":
            return fields, end
    raise ValueError("its header does not end")


def _parse_meta(path, fields, start):
    if fields["elementdatafile"].upper() != "LOCAL":
        raise UserError(f"{path}: {_ELSEWHERE}")
    if fields.get("objecttype", "Image") != "Image":
        raise UserError(f"{path}: a MetaImage of another kind than Image")
    if int(fields.get("elementnumberofchannels", 1)) != 1:
        raise UserError(f"{path}: several values a voxel; one channel is needed")
    for name, usual in _META_USUAL.items():
        if fields.get(name, usual[0]).lower() not in usual:
            raise UserError(f"{path}: {name} {printable(fields[name])} is not read; save it again")
    big = fields.get("elementbyteordermsb") or fields.get("binarydatabyteordermsb", "False")
    kind = np.dtype(_META_TYPES[fields["elementtype"].upper()])
    kind = kind.newbyteorder(">" if big.lower() in ("true", "1") else "<")
    shape = _shape(fields["dimsize"], int(fields["ndims"]))
    spacings = fields.get("elementspacing") or fields.get("elementsize")
    spacing_mm, affine = (1.0,) * len(shape), None
    if spacings:
        spacing_mm = _numbers(spacings)
        if len(spacing_mm) != len(shape):
            raise ValueError("ElementSpacing is not one for each axis")
        if min(spacing_mm) < 0:
            raise UserError(
                f"{path}: a negative ElementSpacing: an axis may be mirrored; correct it"
            )
        matrix = _first(fields, "transformmatrix", "rotation", "orientation")
        origin = _first(fields, "offset", "position", "origin")
        if matrix and origin and len(shape) == 3:
            columns = np.array(_numbers(matrix)).reshape(3, 3).T
            lengths = np.linalg.norm(columns, axis=0)
            affine = np.column_stack([columns / lengths * spacing_mm, _numbers(origin)])
    packed = fields.get("compresseddata", "False").lower() in ("true", "1")
    return _Header(shape, kind, packed, start, spacing_mm, affine)


# Field -> the values that change nothing, in small letters, the default first.
_META_USUAL = {
    "binarydata": ("true", "1"),
    "distanceunits": ("mm", "?", ""),
    "headersize": ("0",),
    "elementtointensityfunctionslope": ("1", "1.0"),
    "elementtointensityfunctionoffset": ("0", "0.0"),
}


def _first(fields, *names):
    return next((fields[name] for name in names if name in fields), None)


def _shape(text, rank):
    shape = tuple(int(length) for length in text.split())
    if len(shape) != rank or not 1 <= rank <= 7 or min(shape) < 1:
        raise ValueError(f"sizes {text[:40]}")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _numbers(text):
    numbers = tuple(float(number) for number in re.findall(_NUMBER, text))
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{text[:40]} is not finite")
    return numbers
