"""`reconstruct` on films that are cut, turned, moved or refused."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.data.films.pair.necks import neck_films
from tests.experiments.reconstruct.reconstructing import (
    assert_same_network_input,
    reconstruct,
    write_nifti,
)
from tests.export.runs import SIZE
from tests.films import BLOCK, block_films
from tests.neck_finder.phantom_films import phantom_films
from tests.programs import assert_refused, run_program
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.data.volumes.volume import read_volume
from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction import exported_model


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


def test_a_film_of_another_height_is_aligned_and_it_is_said(folder, models):
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
    assert record["films"]["la"] == {
        "file": str(folder / "la.png"),
        "crop_box": [4, 4, 68, 68],
        "used_crop_box": [4, 0, 68, 64],
        "used_flip_horizontal": False,
        "used_flip_vertical": False,
        "used_invert": False,
        "flip_horizontal": False,
        "flip_vertical": False,
        "invert": False,
        "rotate_deg": 0.0,
        "pixel_mm": None,
    }
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


def test_one_large_film_twice_is_refused_before_the_search(folder, models):
    write_film(folder / "ap.png", phantom_films()["ap"], "ap")
    result = reconstruct(folder, models, f"--la={folder / 'ap.png'}")
    assert_refused(result, "AP and LA have the same pixels; give one film of each", folder / "out")


def test_a_film_with_nan(folder, models):
    film = block_films()["la"]
    film[3, 4] = np.nan
    write_nifti(folder / "la.nii.gz", film)
    result = reconstruct(folder, models, f"--la={folder / 'la.nii.gz'}")
    assert_refused(result, "la.nii.gz: holds NaN or infinite values", folder / "out")


@pytest.mark.parametrize(
    ("trained_mm", "flags", "line"),
    [
        (2.5, ["--spacing_mm=3"], "voxels of 3 mm; the model was trained with 2.5 mm"),
        (2.5, ["--ap_pixel_mm=2", "--la_pixel_mm=2"], "voxels of 2 mm; the model was trained"),
        (2.5, ["--spacing_mm=2.6"], None),
        (None, ["--spacing_mm=3"], None),
    ],
)
def test_another_voxel_size_than_in_training_is_said_without_a_report(
    folder, models, monkeypatch, trained_mm, flags, line
):
    read = exported_model.read_metadata
    monkeypatch.setattr(
        exported_model, "read_metadata", lambda path: read(path) | {"spacing_mm": trained_mm}
    )
    films = [f"--{view}={folder / f'{view}.png'}" for view in ("ap", "la")]
    given = [f"--model={models}", f"--output={folder / 'out'}", *films, "--crop=none"]
    result = run_program("reconstruct", *given, "--report=false", *flags)
    assert result.returncode == 0, result.stderr
    if line is None:
        assert result.stderr == ""
    else:
        (told,) = result.stderr.splitlines()
        assert line in told and told.endswith("crop boxes 80 mm wide show it as in training")


@pytest.mark.parametrize("sizes_mm", [(2.5, 2.0), (2.0, 2.5)])
def test_models_of_two_voxel_sizes_read_films_alike_in_any_order(
    folder, models, monkeypatch, sizes_mm
):
    flags = [f"--{view}={folder / f'{view}.png'}" for view in ("ap", "la")]
    for number, spacing_mm in enumerate(sizes_mm):
        copy = shutil.copytree(models, folder / f"model{number}")
        file = copy / "1" / "assets.extra" / "metadata.json"
        metadata = json.loads(file.read_text(encoding="utf-8")) | {"spacing_mm": spacing_mm}
        file.write_text(json.dumps(metadata), encoding="utf-8")
        flags.append(f"--model={copy}")
    seen = []

    def read(files, options, model, *_, **__):
        seen.append((model.size, model.trained_spacing_mm(), model.metadata["spacing_mm"]))
        raise UserError("read")

    monkeypatch.setattr("experiments.reconstruct.read_films", read)
    run_program("reconstruct", f"--output={folder / 'out'}", *flags)
    assert seen == [(SIZE, None, None)]


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
