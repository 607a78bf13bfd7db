import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.films import block_films
from tests.hostile.files import FILMS
from tests.hostile.parts import GREY
from tests.programs import ROOT, start_program
from xctrs_tf.data.films.film_writer import write_film

# Limit of the memory in use while films are read.
MAX_BYTES = 2 * 10**9
# Protection against a reader that never ends.
TIMEOUT_S = 300

# Expected part of the message, for films whose exact reason matters to the user.
REASONS = {
    "16k.png": "pixels",
    "16k.dcm": "16384 x 16384 pixels, more than",
    "absent.png": "no such file",
    "bomb.jpeg.dcm": "its compressed picture 13000 x 13000",
    "bomb.nii.gz": "over 1 MB, more than is read",
    "bomb.rle.dcm": "over 8 MB of run-length code",
    "colour.png": "a colour picture",
    "ct.dcm": "modality CT",
    "cut.nii": "ends before its last voxel",
    "film-and-hole.dcm": "over 268 MB",
    "film-and-hole.nii": "over 1 MB, more than is read",
    "folder.png": "a folder",
    "hundred-thousand-pages.tif": "several pages",
    "mha-of-another.mha": "its pixels are in another file",
    "nan-slope.dcm": "its RescaleSlope is nan",
    "nan.nii": "holds NaN",
    "nested.dcm": "a damaged DICOM file",
    "nrrd-of-another.nrrd": "its pixels are in another file",
    "tiny-fields.dcm": "too many fields in its header",
    "text.png": "not a PNG, TIFF or JPEG picture",
}


def write_films(folder):
    """Write all hostile films, and the file that some of them refer to."""
    (folder / "secret.raw").write_bytes(np.random.default_rng(9).bytes(1024))
    for name, write in FILMS.items():
        write(folder / name)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Outcome of reading each film, by file name."""
    folder = tmp_path_factory.mktemp("films")
    write_films(folder)
    Image.fromarray(GREY).save(folder / "good.png")
    (folder / "names.json").write_text(json.dumps(list(FILMS)), encoding="utf-8")
    command = [sys.executable, "-m", "tests.hostile.read_all", str(folder)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=TIMEOUT_S
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}


def test_every_reason_is_that_of_a_film():
    assert REASONS.keys() <= FILMS.keys()


@pytest.mark.parametrize("name", FILMS)
def test_refused_in_one_line_and_in_bounded_memory(rows, name):
    row = rows[name]
    assert row["outcome"] is not None, "it was read"
    assert f"/{name}: " in row["outcome"]
    assert "\n" not in row["outcome"] and "Error(" not in row["outcome"]
    assert REASONS.get(name, "") in row["outcome"]
    assert row["peak_bytes"] < MAX_BYTES


def reconstruct(models, folder, *flags):
    required = (f"--model={models}", f"--output={folder / 'out'}", "--spacing_mm=2.5")
    return start_program("reconstruct", *required, *flags)


# Formats whose C libraries print messages of their own.
@pytest.mark.parametrize(
    "name", ["wild-offset.tif", "garbage-lzw.tif", "negative.nii", "nan-slope.dcm", "nested.dcm"]
)
def test_the_program_prints_one_line(models, tmp_path, name):
    FILMS[name](tmp_path / name)
    write_film(tmp_path / "la.png", block_films()["la"], "la")
    result = reconstruct(models, tmp_path, f"--ap={tmp_path / name}", f"--la={tmp_path / 'la.png'}")
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith(f"error: {tmp_path / name}: ")
    assert not (tmp_path / "out").exists()


def test_a_batch_skips_hostile_films_and_reconstructs_good_pairs(models, tmp_path):
    films = tmp_path / "films"
    for name, write in FILMS.items():
        patient = films / name.replace(".", "_")
        patient.mkdir(parents=True)
        suffix = pathlib.Path(name).suffixes
        write(patient / "".join(["ap", *suffix]))
        write_film(patient / "la.png", block_films()["la"], "la")
    for patient in ("first", "zz-last"):
        for view, film in block_films().items():
            write_film(films / f"{patient}_{view}.png", film, view)
    result = reconstruct(models, tmp_path, f"--input={films}", "--report=false")
    assert result.returncode == 1
    # A slow machine gets lines of progress, too.
    lines = [line for line in result.stderr.splitlines() if "%|" not in line]
    written = sorted(entry.name for entry in (tmp_path / "out").iterdir())
    # Pairs that are read and refused are drawn.
    drawn = [name for name in written if name.endswith(".refused_films.png")]
    assert [name for name in written if name not in drawn] == ["first", "summary.csv", "zz-last"]
    assert len(drawn) < len(FILMS)
    assert len(lines) == len(FILMS)
    for name, line in zip(sorted(n.replace(".", "_") for n in FILMS), lines, strict=True):
        assert line.startswith(f"error: {name}: "), line
        assert str(films / name) in line
    assert result.stdout.splitlines() == [f"2 done, 0 skipped, {len(FILMS)} failed"]
    assert (tmp_path / "out" / "summary.csv").read_text(encoding="utf-8").count("\n") == 3 + len(
        FILMS
    )
