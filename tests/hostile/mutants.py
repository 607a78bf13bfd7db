"""Films of every format with random damage, and what reading them gives.

    python -m tests.hostile.mutants COUNT

reads that many one after another and prints what went wrong as JSON. It runs in its own
process, so that its peak memory is that of the readers.
"""

import contextlib
import functools
import gzip
import io
import json
import pathlib
import re
import resource
import signal
import struct
import sys
import tempfile
import warnings
import zlib

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from tests.data.dicoms import write_dicom
from tests.data.films.pair.reading import read_film_pair
from tests.hostile.parts import picture_bytes
from tests.hostile.read_all import ADDRESS_SPACE, peak_bytes
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.errors import UserError

SIZE = 32
MAX_SECONDS = 10
# A film that is read in spite of a changed header still has to show the picture, perhaps
# turned or inverted, by this correlation.
MIN_CORRELATION = 0.5
# Their pixels do not change with their headers, and have no compression to be damaged.
PLAIN = ("plain.dcm", "implicit.dcm", "film.nii", "film.nii.gz", "film.nrrd", "film.mha")
WHOLE = {"ap": FilmFrame(), "la": FilmFrame()}


def _picture():
    """Return a smooth 12-bit picture without symmetry, ``[row, column]``."""
    row, column = np.mgrid[:SIZE, :SIZE] / SIZE
    values = 0.5 + 0.3 * np.sin(5 * column + 2 * row) + 0.2 * np.cos(7 * row) * column
    return np.round(values / values.max() * 4000).astype(np.uint16)


PICTURE = _picture()
TAGS = {"BitsStored": 12, "HighBit": 11, "PixelSpacing": [0.5, 0.5]}
# Values that a header should not have; some are of another kind than the field.
ODD = (0, -1, 1, 2, 7, 13, 255, 65535, 2**31 - 1, "", "nan", "1e300", "-0", "0,5", "A", "R")
FIELDS = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "PixelSpacing"),
    *("ImagerPixelSpacing", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"),
    *("PixelPaddingValue", "PixelAspectRatio", "PatientOrientation", "ViewPosition", "Modality"),
    *("EstimatedRadiographicMagnificationFactor", "PresentationLUTShape", "VOILUTFunction"),
)


@functools.cache
def whole_films():
    """Return the bytes of an undamaged film of every kind, by a name with its suffix."""
    films = {
        "grey.png": picture_bytes(PICTURE),
        "byte.png": picture_bytes((PICTURE >> 4).astype(np.uint8)),
        "raw.tif": picture_bytes(PICTURE, "TIFF"),
        "white.tif": picture_bytes(4095 - PICTURE, "TIFF", tiffinfo={262: 0}),
        "lzw.tif": picture_bytes(PICTURE, "TIFF", compression="tiff_lzw"),
        "float.tif": picture_bytes(PICTURE.astype(np.float32), "TIFF"),
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        films |= _dicom_films(folder)
        for name in ("film.nii", "film.nrrd", "film.mha", "packed.nrrd", "packed.mha"):
            image = sitk.GetImageFromArray(PICTURE[np.newaxis, ::-1])
            image.SetSpacing((0.5, 0.5, 1.0))
            sitk.WriteImage(image, str(folder / name), useCompression="packed" in name)
            films[name] = (folder / name).read_bytes()
    return films


def _dicom_films(folder):
    films = {
        "plain.dcm": write_dicom(folder / "a", PICTURE, **TAGS).read_bytes(),
        "implicit.dcm": write_dicom(
            folder / "a", PICTURE, ImplicitVRLittleEndian, **TAGS
        ).read_bytes(),
    }
    lossless = pydicom.dcmread(write_dicom(folder / "a", PICTURE, **TAGS))
    lossless.compress(RLELossless)
    lossless.save_as(folder / "a")
    films["rle.dcm"] = (folder / "a").read_bytes()
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
    films["jpeg2000.dcm"] = _compressed(folder / "a", JPEG2000Lossless, stream.getvalue())
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.SetFileName(str(folder / "itk.dcm"))
    writer.Execute(sitk.GetImageFromArray(PICTURE[np.newaxis]))
    written = pydicom.dcmread(folder / "itk.dcm")
    frame = next(pydicom.encaps.generate_frames(written.PixelData, number_of_frames=1))
    films["jpeg.dcm"] = _compressed(folder / "a", written.file_meta.TransferSyntaxUID, frame)
    return films


def _compressed(path, syntax, frame):
    image = pydicom.dcmread(write_dicom(path, PICTURE, **TAGS))
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = pydicom.encaps.encapsulate([frame])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    image.save_as(path)
    return path.read_bytes()


def mutant(seed):
    """Return name and bytes of a film with the damage of a seed.

    The third value tells whether the damage left the pixels where they were.
    """
    rng = np.random.default_rng(seed)
    films = whole_films()
    name = sorted(films)[seed % len(films)]
    content = films[name]
    if name.endswith(".dcm") and rng.random() < 0.4:
        return name, _edit_tags(rng, content), True
    chosen = [DAMAGES[rng.integers(len(DAMAGES))] for _ in range(rng.integers(1, 3))]
    for damage in chosen:
        content = damage(rng, content)
    if name.endswith(".png") and rng.random() < 0.7:
        content = _correct_checksums(content)
    if name.endswith(".nii") and rng.random() < 0.5:
        name, content = name + ".gz", gzip.compress(content, 1)
    moving = {_insert, _remove, _repeat}
    if not name.endswith((".nrrd", ".mha")):
        # A text header may change its length.
        moving.add(_digits)
    return name, content, not moving & set(chosen)


def _flip(rng, content):
    """Change some bytes, mostly near the beginning."""
    damaged = bytearray(content)
    end = len(content) if rng.random() < 0.3 else min(len(content), 600)
    for place in rng.integers(0, end, rng.integers(1, 6)):
        damaged[place] = rng.choice((rng.integers(256), damaged[place] ^ 1 << rng.integers(8)))
    return bytes(damaged)


def _cut(rng, content):
    return content[: rng.integers(len(content))]


def _insert(rng, content):
    place = rng.integers(min(len(content), 1000))
    return content[:place] + rng.bytes(rng.integers(1, 9)) + content[place:]


def _remove(rng, content):
    place = rng.integers(min(len(content), 1000))
    return content[:place] + content[place + rng.integers(1, 9) :]


def _repeat(rng, content):
    first, last = sorted(rng.integers(0, len(content), 2))
    return content[:last] + content[first:]


def _digits(rng, content):
    """Change numbers that stand as text in the beginning."""
    head, rest = content[:1000], content[1000:]
    odd = [str(value).encode() for value in ODD]
    found = list(re.finditer(rb"\d+", head))
    if not found:
        return _flip(rng, content)
    match = found[rng.integers(len(found))]
    return head[: match.start()] + odd[rng.integers(len(odd))] + head[match.end() :] + rest


def _extremes(rng, content):
    """Put a number into the beginning that no header has."""
    place = rng.integers(0, min(len(content), 400)) & ~1
    number = struct.pack(rng.choice(("<I", ">I", "<H", ">H")), rng.choice((0, 1, 65535)))
    return content[:place] + number + content[place + len(number) :]


DAMAGES = (_flip, _flip, _flip, _cut, _insert, _remove, _repeat, _digits, _extremes)


def _edit_tags(rng, content):
    image = pydicom.dcmread(io.BytesIO(content))
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in rng.choice(FIELDS, rng.integers(1, 4)):
            value = ODD[rng.integers(len(ODD))]
            with contextlib.suppress(Exception):
                setattr(image, str(name), [value] * int(rng.integers(1, 3)))
        try:
            image.save_as(stream)
        # Some values cannot be written.
        except Exception:
            return _flip(rng, content)
    return stream.getvalue()


def _correct_checksums(content):
    """Return a PNG whose chunks have right checksums, so that damage passes them."""
    corrected, place = content[:8], 8
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        body = content[place + 4 : place + 8 + length]
        corrected += content[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return corrected + content[place:]


def read_mutant(folder, seed):
    """Read a damaged film; return None, or what is wrong with the way it was read.

    Args:
        folder: folder to write it to.
        seed: of the damage.
    """
    name, content, in_place = mutant(seed)
    path, other = folder / name, folder / "other.png"
    path.write_bytes(content)
    other.write_bytes(picture_bytes(np.ascontiguousarray(PICTURE.T)))
    try:
        with _time_limit():
            films, spacing_mm = read_film_pair({"ap": path, "la": other}, WHOLE, SIZE)
    except UserError as error:
        good = str(error).startswith((f"{path}: ", "films: ")) and "\n" not in str(error)
        return None if good else f"{name}: a message without the file: {error}"
    except BaseException as error:
        return f"{name}: {error!r}"
    finally:
        path.unlink()
    film = films["ap"]
    if film.shape != (SIZE, SIZE) or not np.isfinite(film).all():
        return f"{name}: a film of shape {film.shape} or with values that are none"
    if spacing_mm is not None and not 0.001 < spacing_mm < 100:
        return f"{name}: voxels of {spacing_mm} mm"
    if in_place and name in PLAIN and _likeness(film) < MIN_CORRELATION:
        return f"{name}: read as another picture ({_likeness(film):.2f})"
    return None


def _likeness(film):
    """Return the correlation with the picture, however it is turned or inverted."""
    whole = PICTURE[::-1].T.astype(float)
    turns = [np.rot90(each, count) for each in (whole, whole.T) for count in range(4)]
    return max(abs(np.corrcoef(film.ravel(), turn.ravel())[0, 1]) for turn in turns)


@contextlib.contextmanager
def _time_limit():
    def stop(number, frame):
        raise TimeoutError(f"over {MAX_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(MAX_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main(count):
    """Read films and print the problems and the peak memory."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [read_mutant(pathlib.Path(folder), seed) for seed in range(count)]
    problems = [f"{seed}: {problem}" for seed, problem in enumerate(outcomes) if problem]
    print(json.dumps({"problems": problems, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
