import json
import shutil

import numpy as np
import pytest

from tests.experiments.reconstruct.reconstructing import (
    batch,
    reconstruct,
    write_nifti,
)
from tests.export.runs import SIZE
from tests.films import BLOCK, block_films
from tests.programs import assert_refused, rights_of_others
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.data.volumes.volume import read_volume
from xctrs_tf.folder_lock import folder_lock


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize("suffix", [".png", ".nii.gz"])
def test_two_films_to_files(folder, models, suffix):
    flags, z, rights = [], BLOCK[2], {0}
    if suffix == ".nii.gz":
        # Two films of different heights, which only --nocheck_views lets pass.
        flags, z = ["--nocheck_views", "--share"], slice(7, 10)
        rights = {0o055, 0o044}
        write_nifti(folder / "ap.nii.gz", block_films()["ap"])
        write_nifti(folder / "la.nii.gz", np.roll(block_films()["la"], 2, axis=1))
    result = reconstruct(folder, models, *flags, suffix=suffix)
    out = folder / "out"
    assert result.returncode == 0, result.stderr
    assert rights_of_others(out) == rights
    names = sorted(path.name for path in out.iterdir())
    lines = result.stdout.splitlines()
    assert lines[: len(names)] == [str(out / name) for name in names]
    # The toy knows one vertebra and no thresholds.
    assert lines[len(names) :] == [
        "models 1, SpaDRNet + VGG + MulSISNet, 32^3 voxels; trained for 7 steps on an unknown "
        "number of patients (source not stated); it has no figures of test patients. Films are "
        "normalised by percentile; augmentation: none.",
        "Whether these films look like its training films is not known: the model was not "
        "calibrated.",
        "verdict: fail",
        "  fail: anatomy: C1, C2, C4, C5, C6, C7 missing",
        "  review: no thresholds: the model was not calibrated (python -m experiments.calibrate)",
    ]
    assert {"C3.stl", "report.html", "segmentation.label", "segmentation.ctbl"} <= set(names)
    assert result.stderr == ""
    ct, labels = (read_volume(out / name) for name in ("ct.nii.gz", "segmentation.nii.gz"))
    expected = np.full((SIZE, SIZE, SIZE), -1000)
    expected[*BLOCK[:2], z] = 1500
    np.testing.assert_array_equal(ct.array, expected)
    np.testing.assert_array_equal(labels.array, np.where(expected > 0, 3, 0))
    for volume in (ct, labels):
        assert (volume.spacing_mm, volume.origin_mm) == ((2.5,) * 3, (-38.75,) * 3)


@pytest.mark.usefixtures("usual_umask")
def test_a_table_goes_on_after_a_bad_pair_and_a_rerun_does_what_is_missing(folder, models):
    table = folder / "pairs.csv"
    table.write_text(
        "id,ap,la,spacing_mm\np1,ap.png,la.png,\np2,ap.png,no.png,\np3,ap.png,la.png,4\n",
        encoding="utf-8",
    )
    result = batch(folder, models, f"--pairs={table}", "--report=false")
    assert (result.returncode, result.stdout) == (1, "2 done, 0 skipped, 1 failed\n")
    line = f"p2: {folder / 'no.png'}: no such file"
    assert [text for text in result.stderr.splitlines() if "error" in text] == [f"error: {line}"]
    out = folder / "out"
    assert sorted(path.name for path in out.iterdir()) == ["p1", "p3", "summary.csv"]
    assert rights_of_others(out) == {0}
    assert (out / "summary.csv").read_text(encoding="utf-8") == (
        f"id,status,verdict,reasons\np1,done,,\np2,failed,,{line}\np3,done,,\n"
    )
    assert [read_volume(out / p / "ct.nii.gz").spacing_mm[0] for p in ("p1", "p3")] == [2.5, 4.0]
    shutil.copy(folder / "la.png", folder / "no.png")
    before = (out / "p1").stat().st_ino
    result = batch(folder, models, f"--pairs={table}", "--report=false")
    assert (result.returncode, result.stdout) == (0, "1 done, 2 skipped, 0 failed\n")
    assert (out / "p1").stat().st_ino == before
    # Another version of the model.
    record = out / "p1" / "reconstruction.json"
    made = json.loads(record.read_text(encoding="utf-8"))
    made["models"][0]["sha256"] = "f" * 64
    record.write_text(json.dumps(made), encoding="utf-8")
    result = batch(folder, models, f"--pairs={table}", "--report=false")
    assert (result.returncode, result.stdout) == (1, "0 done, 2 skipped, 1 failed\n")
    assert "p1 was made by another model; give --overwrite, or another --output" in result.stderr
    result = batch(folder, models, f"--pairs={table}", "--report=false", "--mirror")
    assert "p3 was made without --mirror; give --overwrite, or" in result.stderr
    assert (out / "p1").stat().st_ino == before


def test_finished_pairs_of_other_films_or_flags_are_not_skipped(folder, models):
    table = folder / "pairs.csv"
    table.write_text("id,ap,la\np1,ap.png,la.png\n", encoding="utf-8")
    flags = (f"--pairs={table}", "--nocheck_views")
    assert batch(folder, models, *flags, "--report=false").returncode == 0
    film = block_films()["ap"]
    write_film(folder / "ap.png", film[::-1], "ap")
    table.write_text("id,ap,la,spacing_mm\np1,ap.png,la.png,3\n", encoding="utf-8")
    result = batch(folder, models, *flags, "--la_invert", "--dicom", "--strict")
    assert (result.returncode, result.stdout) == (1, "0 done, 0 skipped, 1 failed\n")
    place = folder / "out" / "p1"
    line = (
        f"error: p1: {place} was made from another AP film, with other values of --la_invert, "
        "--spacing_mm, without --report, without --dicom; give --overwrite, or another --output"
    )
    assert line in result.stderr.splitlines()
    # What an earlier version made does not tell it.
    record = json.loads((place / "reconstruction.json").read_text(encoding="utf-8"))
    del record["files"], record["films"]["asked"]
    (place / "reconstruction.json").write_text(json.dumps(record), encoding="utf-8")
    result = batch(folder, models, *flags, "--la_invert", "--dicom", "--report=false")
    assert (result.returncode, result.stdout) == (0, "0 done, 1 skipped, 0 failed\n")
    result = batch(folder, models, *flags, "--strict")
    assert result.returncode == 1
    assert "p1 has no verdict of the quality checks; give --overwrite" in result.stderr
    result = batch(folder, models, *flags, "--strict", "--overwrite")
    assert (result.returncode, result.stdout) == (
        3,
        "1 done, 0 skipped, 0 failed, verdict fail: 1\n",
    )
    result = batch(folder, models, *flags, "--strict")
    assert (result.returncode, result.stdout) == (
        3,
        "0 done, 1 skipped, 0 failed, verdict fail: 1\n",
    )


@pytest.mark.parametrize("batched", [False, True])
def test_a_version_that_is_exported_in_the_meantime_is_not_taken(
    folder, models, tmp_path, monkeypatch, batched
):
    mine = shutil.copytree(models, tmp_path / "mine")

    def use_fpmath(exports, fpmath):
        shutil.copytree(models / "1", mine / "2")

    monkeypatch.setattr("experiments.reconstruct.use_fpmath", use_fpmath)
    if batched:
        table = folder / "pairs.csv"
        table.write_text("id,ap,la\np1,ap.png,la.png\n", encoding="utf-8")
        result = batch(folder, mine, f"--pairs={table}", "--report=false")
    else:
        result = reconstruct(folder, mine, "--report=false")
    assert result.returncode == 0, result.stderr
    file = folder / "out" / ("p1" if batched else "") / "reconstruction.json"
    (record,) = json.loads(file.read_text(encoding="utf-8"))["models"]
    assert record["version"] == "1"


def test_films_in_a_folder_whose_name_is_not_utf8(folder, models):
    films = folder / "films\udcff"
    films.mkdir()
    for view in ("ap", "la"):
        shutil.move(folder / f"{view}.png", films / f"p_{view}.png")
    result = batch(folder, models, f"--input={films}", "--report=false")
    assert (result.returncode, result.stdout) == (0, "1 done, 0 skipped, 0 failed\n")


def test_an_output_whose_name_is_not_utf8(folder, models):
    result = reconstruct(folder, models, f"--output={folder / 'out'}\udcff", "--dicom")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(list((folder / "out\udcff").iterdir())) == 11


def fill_the_disk(monkeypatch):
    def write(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xctrs_tf.reconstruction.output_folder.write_label_tables", write)


def test_a_full_disk_is_one_line_and_leaves_nothing(folder, models, monkeypatch):
    fill_the_disk(monkeypatch)
    before = sorted(folder.iterdir())
    result = reconstruct(folder, models, "--report=false")
    assert_refused(result, "No space left on device; free space on that disk", folder / "out")
    assert sorted(folder.iterdir()) == before


def test_a_full_disk_ends_a_batch(folder, models, monkeypatch):
    fill_the_disk(monkeypatch)
    (folder / "pairs.csv").write_text("id,ap,la\np,ap.png,la.png\n", encoding="utf-8")
    result = batch(folder, models, f"--pairs={folder / 'pairs.csv'}", "--report=false")
    assert (result.returncode, result.stdout) == (2, "")
    assert [line for line in result.stderr.splitlines() if "error" in line] == [
        f"error: {folder / 'out' / 'p'}: No space left on device; free space on that disk, then "
        "run the same command again"
    ]
    assert [path.name for path in (folder / "out").iterdir()] == ["summary.csv"]


def test_what_a_killed_run_left_is_removed(folder, models):
    left = folder / ".out.abcd_123"
    (left / "out").mkdir(parents=True)
    (left / "out" / "ct.nii.gz").touch()
    assert reconstruct(folder, models, "--report=false").returncode == 0
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_two_runs_do_not_write_to_one_folder(folder, models):
    with folder_lock(folder / "out", beside=True):
        result = reconstruct(folder, models)
    assert_refused(result, "out: process", folder / "out")
    for view in ("ap", "la"):
        shutil.copy(folder / f"{view}.png", folder / f"p_{view}.png")
    with folder_lock(folder / "out"):
        result = batch(folder, models, f"--input={folder}")
    assert (result.returncode, "out: process" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model=tests"], "tests: no exported model; make one with experiments.export"),
        (["--model=absent"], "absent: no exported model"),
        (["--spacing=2"], "Unknown command line flag 'spacing'"),
        (["stray"], "unexpected argument 'stray'"),
        (["--ap_crop_box=1,2,3"], "--ap_crop_box=1,2,3: write it as left,top,right,bottom"),
        (["--la_crop_box=0,0,9,40"], "la.png: crop box 0,0,9,40: not inside the film of 32 x 32"),
        (["--rotate=181"], "--rotate=181.0: must be -180 to 180 degrees, clockwise"),
        (["--la_pixel_mm=0"], "--la_pixel_mm=0.0: must be 0.01 to 20, in mm"),
        (["--spacing_mm=nan"], "--spacing_mm=nan: must be above 0"),
        (["--spacing_mm=1e-20"], "--spacing_mm=1e-20: 32 voxels of it are 3.2e-19 mm, and a neck"),
        (["--model_sha256=abc"], "--model_sha256=abc: "),
        (["--pairs=a.csv"], "films: give --ap and --la, or --pairs, or --input, and only one"),
        (["--la="], "films: no lateral film (--la); both views are needed, since one film"),
        (["--overwrite"], "--overwrite: for --pairs and --input"),
        (["--copy_patient"], "--copy_patient: only DICOM files hold a patient; add --dicom"),
        (["--strict", "--report=false"], "--strict: needs the report's quality checks"),
        (["--dicom", "--copy_patient"], "ap.png: no DICOM file to copy the patient from"),
        (["--ap_pixel_mm=1"], "ap.png: the network sees 80 mm, which reaches over the edge"),
    ],
)
def test_bad_flags(folder, models, flags, message):
    assert_refused(reconstruct(folder, models, *flags), message, folder / "out")


def test_a_damaged_model(folder, models, tmp_path):
    shutil.copytree(models, tmp_path / "models")
    file = tmp_path / "models" / "1" / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-200])
    result = reconstruct(folder, tmp_path / "models")
    assert_refused(result, "models/1/saved_model.pb: changed since the export", folder / "out")


def test_an_output_folder_of_others_is_left_alone(folder, models):
    (folder / "out").mkdir()
    (folder / "out" / "ct.nii.gz").write_text("mine", encoding="utf-8")
    result = reconstruct(folder, models)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: {folder / 'out'}: holds other files; choose an empty output folder\n"
    )
    assert [file.name for file in (folder / "out").iterdir()] == ["ct.nii.gz"]
