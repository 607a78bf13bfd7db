"""CTs of every format with a few bytes changed, and what the readers make of them.

    python -m tests.data.mutated_cts FOLDER SEED COUNT

prints the outcome of each as a line of JSON. It runs in its own process in the long test,
so that its peak memory is that of the readers.
"""

import gzip
import json
import pathlib
import re
import shutil
import signal
import struct
import sys
import time

import numpy as np
import pydicom

from tests.data.dicoms import write_series
from tests.data.necks import make_neck
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources.dicom_studies import DicomSource
from xctrs_tf.data.sources.pairs import read_ct_and_labels
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.errors import UserError

FORMATS = ("ct.nii", "ct.nii.gz", "inside.nii.gz", "ct.nrrd", "packed.nrrd", "ct.mha", "ct", "rle")
LIMIT_S = 10
# More voxels than any number of changed bytes may change.
_CHANGED_SHARE = 0.02
_CHANGED_HU = 100


class Hang(BaseException):
    """A reader that took longer than `LIMIT_S`; no reader may catch it."""


class FileSource(PatientSource):
    """One CT file of any format and its labels."""

    def __init__(self, ct, labels):
        self.ids = ["a"]
        self._files = ct, labels

    def record(self, scan):
        return {"source_file": self._files[0].name}

    def load(self, scan):
        return RawPatient(scan, *read_ct_and_labels(*self._files))


def write_good(folder):
    """Write the neck in every format, and its labels."""
    ct, labels = make_neck()
    place = (ct.spacing_mm, ct.origin_mm)
    folder.mkdir(parents=True, exist_ok=True)
    write_volume(folder / "labels.nii.gz", labels.array, *place)
    for name in FORMATS[:2] + FORMATS[3:4] + FORMATS[5:6]:
        write_volume(folder / name, ct.array, *place)
    shutil.copy(folder / "ct.nii.gz", folder / "inside.nii.gz")
    content = (folder / "ct.nrrd").read_bytes()
    # SimpleITK may have packed it.
    head, data = content.split(b"\n\n", 1)
    data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    raw = re.sub(rb"encoding: \w+", b"encoding: raw", head)
    (folder / "ct.nrrd").write_bytes(raw + b"\n\n" + data)
    packed = raw.replace(b"encoding: raw", b"encoding: gzip")
    (folder / "packed.nrrd").write_bytes(packed + b"\n\n" + gzip.compress(data, 1))
    write_series(folder / "ct", ct)
    write_series(folder / "rle", ct)
    for file in (folder / "rle").iterdir():
        data = pydicom.dcmread(file)
        data.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        data.save_as(file)
    return folder


def mutated(content, rng, header):
    """Return content with bytes changed in one of eight ways.

    Args:
        content: bytes.
        rng: random generator.
        header: length of the part that is changed more often.
    """
    content = bytearray(content)
    end = header if rng.random() < 0.8 else len(content)
    place = int(rng.integers(min(end, len(content))))
    way = rng.integers(8)
    if way == 0:
        for _ in range(rng.integers(1, 4)):
            content[int(rng.integers(min(end, len(content))))] ^= 1 << rng.integers(8)
    elif way == 1:
        content[place] = rng.integers(256)
    elif way == 2:
        del content[int(rng.integers(len(content))) :]
    elif way == 3:
        del content[place : place + int(rng.integers(1, 20))]
    elif way == 4:
        content[place:place] = rng.bytes(int(rng.integers(1, 20)))
    elif way == 5:
        values = (0.0, -1.0, 1e-30, 1e30, np.nan, np.inf, 2.0**31, 0.5)
        content[place : place + 4] = np.float32(values[rng.integers(8)]).tobytes()
    elif way == 6:
        values = (0, -1, 1, 2**15 - 1, -(2**15), 1000, 100, 7)
        content[place : place + 2] = np.int16(values[rng.integers(8)]).tobytes()
    else:
        digits = [at for at in range(min(end, len(content))) if 48 <= content[at] < 58]
        for at in rng.choice(digits or [place], 2):
            content[int(at)] = rng.choice(list(b"0123456789-.,e"))
    return bytes(content)


def mutate(good, name, folder, rng):
    """Write a mutated CT of a format and return its source."""
    labels = good / "labels.nii.gz"
    if (good / name).is_dir():
        shutil.copytree(good / name, folder / "images" / "a", dirs_exist_ok=True)
        files = sorted((folder / "images" / "a").iterdir())
        for file in rng.choice(files, rng.choice([1, 1, 5]), replace=False):
            file.write_bytes(mutated(file.read_bytes(), rng, 1200))
        (folder / "labels").mkdir()
        shutil.copy(labels, folder / "labels" / "a.nii.gz")
        return DicomSource(folder / "images", folder / "labels")
    content = (good / name).read_bytes()
    if name.startswith("inside"):
        content = gzip.compress(_keep_scale(mutated(gzip.decompress(content), rng, 352)), 1)
    elif name.endswith(".nii"):
        content = _keep_scale(mutated(content, rng, 352))
    else:
        content = mutated(content, rng, 352)
    (folder / name).write_bytes(content)
    return FileSource(folder / name, labels)


def _keep_scale(content):
    """Return a NIfTI file with slope and intercept 1 and 0: half of all HU may be a CT."""
    return content[:112] + struct.pack("<ff", 1, 0) + content[120:]


def outcomes(folder, seed, count):
    """Read mutated CTs one after another.

    Args:
        folder: a folder to write to.
        seed: of the first; the next has the next seed.
        count: how many.

    Yields:
        Dict of ``seed``, ``format``, ``seconds`` and ``outcome``: ``read``, the text of a
        `UserError`, or ``WRONG`` and what went wrong.
    """
    good = write_good(folder / "good")
    ct, labels = good / "ct.nii", good / "labels.nii.gz"
    expected, _ = crop_patient(FileSource(ct, labels), "a", 32, 4.0)
    before = signal.signal(signal.SIGALRM, _hang)
    try:
        for number in range(seed, seed + count):
            rng = np.random.default_rng(number)
            name = FORMATS[number % len(FORMATS)]
            place = folder / f"{number}"
            place.mkdir()
            source = mutate(good, name, place, rng)
            start = time.perf_counter()
            signal.alarm(LIMIT_S)
            outcome = _outcome(source, expected)
            signal.alarm(0)
            seconds = time.perf_counter() - start
            shutil.rmtree(place)
            yield {"seed": number, "format": name, "seconds": seconds, "outcome": outcome}
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _hang(number, frame):
    raise Hang


def _outcome(source, expected):
    try:
        source.load("a")
        cropped, reasons = crop_patient(source, "a", 32, 4.0)
    except UserError as error:
        return _refusal(str(error))
    except BaseException as error:
        return f"WRONG {error!r}"
    if cropped is None:
        return _refusal(reasons[-1])
    off = np.abs(cropped.ct.array.astype(int) - expected.ct.array) > _CHANGED_HU
    moved_mm = np.abs(np.subtract(cropped.ct.origin_mm, expected.ct.origin_mm)).max()
    if moved_mm > 1 or not np.allclose(cropped.ct.spacing_mm, expected.ct.spacing_mm, rtol=0.01):
        return f"WRONG place: {moved_mm} mm, {cropped.ct.spacing_mm}"
    if off.mean() > _CHANGED_SHARE:
        return f"WRONG values: {off.mean():.0%} of the voxels"
    return "read"


def _refusal(text):
    return f"WRONG words: {text}" if "\n" in text or "Error" in text or not text else text


def peak_bytes():
    """Return the peak memory of this process."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


if __name__ == "__main__":
    for row in outcomes(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
        print(json.dumps({**row, "peak_bytes": peak_bytes()}), flush=True)
