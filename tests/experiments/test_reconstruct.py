import json
import os
import re
import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image

from tests.data.dicoms import write_dicom
from tests.data.films.pair.necks import neck_films
from tests.export.runs import SIZE, toy_run
from tests.films import BLOCK, block_films
from tests.neck_finder.phantom_films import phantom_films
from tests.programs import assert_refused, run_program
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.data.volumes.volume import read_volume
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.reconstruction import exported_model


@pytest.fixture
def folder(tmp_path):
    """A folder with the films of a block as ap.png and la.png."""
    for view, film in block_films().items():
        write_film(tmp_path / f"{view}.png", film, view)
    return tmp_path


def assert_same_network_input(folder):
    """Compare the drawn films as the network gets them, without their titles and scale bars."""
    films = [np.asarray(Image.open(folder / name / "films.png")) for name in ("out", "clean")]
    np.testing.assert_array_equal(films[0][46:500], films[1][46:500])


def reconstruct(folder, models, *flags, suffix=".png"):
    films = (f"--{view}={folder / (view + suffix)}" for view in ("ap", "la"))
    return batch(folder, models, *films, *flags)


def write_nifti(path, film):
    image = sitk.GetImageFromArray(film.T)
    image.SetSpacing((2.5, 2.5))
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("suffix", [".png", ".nii.gz"])
def test_two_films_to_files(folder, models, suffix):
    flags, z = [], BLOCK[2]
    if suffix == ".nii.gz":
        # Two films of different heights, which only --nocheck_views lets pass.
        flags, z = ["--nocheck_views"], slice(7, 10)
        write_nifti(folder / "ap.nii.gz", block_films()["ap"])
        write_nifti(folder / "la.nii.gz", np.roll(block_films()["la"], 2, axis=1))
    result = reconstruct(folder, models, *flags, suffix=suffix)
    out = folder / "out"
    assert result.returncode == 0, result.stderr
    names = sorted(path.name for path in out.iterdir())
    lines = result.stdout.splitlines()
    assert lines[: len(names)] == [str(out / name) for name in names]
    # The toy knows one vertebra and no thresholds.
    assert lines[len(names) :] == [
        "What the model was trained on is not known. Films are normalised by percentile.",
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


def test_cropped_flipped_and_inverted_films(folder, models):
    result = reconstruct(folder, models, "--report=false")
    assert (result.returncode, "verdict" in result.stdout) == (0, False)
    assert not (folder / "out" / "report.html").exists()
    os.rename(folder / "out", folder / "clean")
    # AP is mirrored and within a wider picture; LA is upside down and inverted.
    ap, la = (np.asarray(Image.open(folder / f"{view}.png")) for view in ("ap", "la"))
    Image.fromarray(np.pad(ap[:, ::-1], ((3, 6), (9, 4)))).save(folder / "ap.png")
    Image.fromarray(65535 - la[::-1]).save(folder / "la.png")
    result = reconstruct(
        folder,
        models,
        *("--ap_crop_box=9,3,41,35", "--ap_flip_horizontal", "--ap_pixel_mm=1.25"),
        *("--la_flip_vertical", "--la_invert", "--spacing_mm=1.25", "--report=false"),
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert_same_network_input(folder)
    for name in ("ct.nii.gz", "segmentation.nii.gz"):
        world, clean = (read_volume(folder / out / name) for out in ("out", "clean"))
        np.testing.assert_array_equal(world.array, clean.array)
        assert (world.spacing_mm, clean.spacing_mm) == ((1.25,) * 3, (2.5,) * 3)


def test_rotated_films(folder, models):
    assert reconstruct(folder, models, "--report=false").returncode == 0
    os.rename(folder / "out", folder / "clean")
    ap, la = (np.asarray(Image.open(folder / f"{view}.png")) for view in ("ap", "la"))
    # AP lies a quarter turn counter-clockwise. LA is mirrored and then turned clockwise.
    Image.fromarray(np.rot90(ap).copy()).save(folder / "ap.png")
    Image.fromarray(np.rot90(la[:, ::-1], -1).copy()).save(folder / "la.png")
    flags = ("--report=false", "--rotate=90", "--la_rotate=-90", "--la_flip_horizontal")
    result = reconstruct(folder, models, *flags)
    assert (result.returncode, result.stderr) == (0, "")
    assert_same_network_input(folder)


def test_tinted_jpeg_films_are_read_and_it_is_said(folder, models):
    for view in ("ap", "la"):
        grey = np.asarray(Image.open(folder / f"{view}.png")) / 65535
        colours = np.round(255 * grey[..., np.newaxis] * (0.7, 0.9, 1)).astype(np.uint8)
        Image.fromarray(colours).save(folder / f"{view}.jpg", quality=95, subsampling=0)
    result = reconstruct(folder, models, "--report=false", "--nocheck_views", suffix=".jpg")
    assert result.returncode == 0, result.stderr
    assert (read_volume(folder / "out" / "ct.nii.gz").array[BLOCK] > 500).all()
    lines = result.stderr.splitlines()
    assert len(lines) == 2 and all("its luminance is read" in line for line in lines), lines
    record = json.loads((folder / "out" / "reconstruction.json").read_text(encoding="utf-8"))
    said = [line.partition(str(folder))[2] for line in lines]
    assert [line.partition(str(folder))[2] for line in record["films"]["remarks"]] == said


def write_dicom_films(folder, ap, la, **tags):
    """Write the films of the block as DICOM of patients whose ids are ``ap`` and ``la``."""
    patients = {"ap": ap, "la": la}
    for view, film in block_films().items():
        pixels = (1000 * film.T[::-1]).astype(np.uint16)
        header = {"PatientName": "Doe^Jane", "PatientID": patients[view], **tags}
        with pydicom.config.disable_value_validation():
            write_dicom(folder / f"{view}.dcm", np.ascontiguousarray(pixels), **header)


def test_two_models_dicom_and_a_strict_status(folder, models, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    # Half as bright: 250 HU in the block, and no label there.
    export_run(toy_run(other / "run", gain=0.5), other / "models")
    write_dicom_films(folder, ap="P7", la="P7")
    result = reconstruct(
        folder,
        models,
        *(f"--model={other / 'models'}", "--dicom", "--copy_patient", "--strict"),
        suffix=".dcm",
    )
    assert (result.returncode, result.stderr) == (3, "")
    out = folder / "out"
    ct, spread, labels = (
        read_volume(out / f"{name}.nii.gz").array for name in ("ct", "spread_hu", "segmentation")
    )
    # 1500 and 250 HU: mean 875, deviation 1250 / sqrt(2); a tie of votes is background.
    assert (ct[BLOCK] == 875).all() and (ct == 875).sum() == 60
    np.testing.assert_allclose(spread[BLOCK], 1250 / np.sqrt(2), rtol=1e-6)
    assert not labels.any()
    assert "Between the models" in (out / "report.html").read_text(encoding="utf-8")
    slices = sorted((out / "dicom").iterdir())
    assert len(slices) == SIZE
    header = pydicom.dcmread(slices[0])
    assert (header.PatientID, str(header.PatientName)) == ("P7", "Doe^Jane")


def test_a_dicom_segmentation_is_written_without_chatter(folder, models):
    result = reconstruct(folder, models, "--dicom", "--report=false")
    assert (result.returncode, result.stderr) == (0, "")
    assert (folder / "out" / "dicom" / "segmentation.dcm").is_file()


def test_a_patient_is_not_copied_from_films_of_two(folder, models):
    write_dicom_films(folder, ap="P7", la="P8")
    result = reconstruct(folder, models, "--dicom", "--copy_patient", suffix=".dcm")
    assert_refused(result, "la.dcm: its PatientID is not that of", folder / "out")


def batch(folder, models, *flags):
    required = (f"--model={models}", f"--output={folder / 'out'}", "--spacing_mm=2.5")
    return run_program("reconstruct", *required, *flags)


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
    assert (out / "summary.csv").read_text(encoding="utf-8") == (
        f"id,status,verdict,reasons\np1,done,,\np2,failed,,{line}\np3,done,,\n"
    )
    assert [read_volume(out / p / "ct.nii.gz").spacing_mm[0] for p in ("p1", "p3")] == [2.5, 4.0]
    shutil.copy(folder / "la.png", folder / "no.png")
    before = (out / "p1").stat().st_ino
    result = batch(folder, models, f"--pairs={table}", "--strict")
    assert result.stdout == "1 done, 2 skipped, 0 failed, verdict fail: 1\n"
    assert result.returncode == 3
    assert (out / "p1").stat().st_ino == before


def test_a_batch_with_invalid_headers_copies_what_is_valid_and_goes_on(folder, models):
    headers = {
        "a": {"PatientBirthDate": "unknown", "PatientSex": "Male", "StudyDate": "2020-01-31"},
        "b": {"PatientName": "Doe^Jane\x1b[2J"},
        "c": {"StudyTime": "12:30:00", "AccessionNumber": "12345678901234567890"},
    }
    (folder / "films").mkdir()
    for name, tags in headers.items():
        write_dicom_films(folder, ap=name, la=name, **tags)
        for view in ("ap", "la"):
            shutil.move(folder / f"{view}.dcm", folder / "films" / f"{name}_{view}.dcm")
    flags = (f"--input={folder / 'films'}", "--dicom", "--copy_patient", "--report=false")
    result = batch(folder, models, *flags)
    assert (result.returncode, result.stdout) == (1, "2 done, 0 skipped, 1 failed\n")
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "b_ap.dcm: PatientName: letters other than ASCII" in lines[0]
    for name in ("a", "c"):
        header = pydicom.dcmread(folder / "out" / name / "dicom" / "slice-001.dcm")
        assert (header.PatientID, str(header.PatientName)) == (name, "Doe^Jane")
        assert not header.PatientBirthDate and not header.AccessionNumber


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


def missing(folder):
    (folder / "la.png").unlink()


def not_square(folder):
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE, 40), np.uint8)
    Image.fromarray(pixels).save(folder / "la.png")


def constant(folder):
    Image.fromarray(np.full((SIZE, SIZE), 9, np.uint8)).save(folder / "la.png")


def no_picture(folder):
    (folder / "la.png").write_text("a letter", encoding="utf-8")


def swapped(folder):
    ap, la = neck_films(0)
    write_film(folder / "ap.png", la, "ap")
    write_film(folder / "la.png", ap, "la")


def copied(folder):
    # Another exposure of the film, mirrored and inverted.
    write_film(folder / "la.png", -(neck_films(0)[0][::-1] ** 2), "la")
    write_film(folder / "ap.png", neck_films(0)[0], "ap")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, "la.png: no such file"),
        (not_square, "la.png: 40 x 32 pixels; crop or pad the film square"),
        (constant, "la.png: film: constant"),
        (no_picture, "la.png: damaged, or not a PNG, TIFF or JPEG picture"),
        (swapped, "films: AP and LA are swapped: exchange the two files"),
        (copied, "films: AP and LA show one view twice; give one film of each view"),
    ],
)
def test_bad_films(folder, models, spoil, message):
    spoil(folder)
    assert_refused(reconstruct(folder, models, "--crop=none"), message, folder / "out")


def test_a_film_of_another_height_is_mended_and_it_is_said(folder, models):
    for view, film in zip(("ap", "la"), neck_films(0), strict=True):
        up = 4 if view == "la" else 0
        write_film(folder / f"{view}.png", np.pad(film, ((4, 4), (4 + up, 4 - up))), view)
    boxes = [f"--{view}_crop_box=4,4,68,68" for view in ("ap", "la")]
    result = reconstruct(folder, models, *boxes)
    assert (result.returncode, len(result.stderr.splitlines())) == (0, 1)
    # The box shows 32 voxels of 2.5 mm in 64 pixels; the shift is measured to a part of one.
    line = (
        r"films: LA shows the neck (4|5)\.\d mm \(4 pixels\) higher than AP; "
        "--la_crop_box=4,0,68,64 was used instead"
    )
    assert re.search(line, result.stderr)
    record = json.loads((folder / "out" / "reconstruction.json").read_text(encoding="utf-8"))
    assert record["films"]["la"] == {"crop_box": [4, 4, 68, 68], "used_crop_box": [4, 0, 68, 64]}
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["films"] == record["films"]
    assert record["films"]["ap"]["used_crop_box"] == [4, 4, 68, 68]
    assert re.match(line, record["films"]["remarks"][0])
    # As if the box had been given.
    os.rename(folder / "out", folder / "clean")
    boxes[1] = "--la_crop_box=4,0,68,64"
    assert reconstruct(folder, models, *boxes, "--report=false").stderr == ""
    ct = [read_volume(folder / name / "ct.nii.gz").array for name in ("out", "clean")]
    np.testing.assert_array_equal(*ct)


def test_refused_films_are_drawn_beside_the_output_until_they_pass(folder, models):
    picture = folder / "out.refused_films.png"
    swapped(folder)
    result = reconstruct(folder, models, "--crop=none", "--report=false")
    assert_refused(result, f"exchange the two files (drawn in {picture})", folder / "out")
    assert picture.stat().st_mode & 0o777 == 0o600
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 1000
    flags = [
        f"--ap={folder / 'la.png'}",
        f"--la={folder / 'ap.png'}",
        "--report=false",
        "--crop=none",
    ]
    assert reconstruct(folder, models, *flags).returncode == 0
    assert not picture.exists()


def test_the_neck_is_found_turned_and_said_unless_flags_decide(folder, models):
    ap, la = phantom_films().values()
    write_film(folder / "ap.png", ap, "ap")
    write_film(folder / "la.png", la[::-1], "la")
    result = reconstruct(folder, models, "--nocheck_views", "--report=false")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if "C1 to C7 are found" in line]
    flags = [flag for line in lines for flag in re.findall(r"--\S+", line)]
    assert "--la_flip_horizontal" in flags and "--ap_flip_horizontal" not in flags
    record = json.loads((folder / "out" / "reconstruction.json").read_text(encoding="utf-8"))
    assert record["films"]["la"]["found"]["flip_horizontal"] is True
    # The flags that it says give the same without a search.
    os.rename(folder / "out", folder / "clean")
    result = reconstruct(folder, models, *flags, "--nocheck_views", "--report=false")
    assert (result.returncode, result.stderr) == (0, "")
    ct = [read_volume(folder / name / "ct.nii.gz").array for name in ("out", "clean")]
    np.testing.assert_array_equal(*ct)


def test_a_film_with_nan(folder, models):
    film = block_films()["la"]
    film[3, 4] = np.nan
    write_nifti(folder / "la.nii.gz", film)
    result = reconstruct(folder, models, f"--la={folder / 'la.nii.gz'}")
    assert_refused(result, "la.nii.gz: holds NaN or infinite values", folder / "out")


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


def test_a_voxel_size_that_no_film_tells_is_said(folder, models, monkeypatch):
    read = exported_model.read_metadata
    monkeypatch.setattr(
        exported_model, "read_metadata", lambda path: read(path) | {"spacing_mm": 3.5}
    )
    films = [f"--{view}={folder / f'{view}.png'}" for view in ("ap", "la")]
    flags = [f"--model={models}", f"--output={folder / 'out'}", "--report=false", *films]
    result = run_program("reconstruct", *flags)
    assert result.returncode == 0, result.stderr
    assert "no file tells the size of a pixel" in result.stderr
    assert read_volume(folder / "out" / "ct.nii.gz").spacing_mm == (3.5,) * 3
    remarks = json.loads((folder / "out" / "reconstruction.json").read_text("utf-8"))["films"][
        "remarks"
    ]
    assert any("no file tells" in remark for remark in remarks)
    result = run_program("reconstruct", *flags, "--spacing_mm=2")
    assert "no file tells" not in result.stderr
