"""A loaded model on two files, and what its result can do."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

import xctrs_tf
from tests.export.runs import SIZE
from tests.films import BLOCK, block_films
from tests.programs import run_program
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.data.volumes.volume import read_volume
from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction import Reconstruction
from xctrs_tf.reconstruction.films.film_options import FilmOptions
from xctrs_tf.reconstruction.films.pair_reading import NOT_SEARCHED, read_pair


@pytest.fixture(scope="module")
def model(models):
    return xctrs_tf.load(models)


@pytest.fixture
def films(tmp_path):
    """Paths of the films of a block: AP mirrored in a wider picture, LA upside down, inverted."""
    paths = {view: tmp_path / f"{view}.png" for view in ("ap", "la")}
    for view, film in block_films().items():
        write_film(paths[view], film, view)
    ap, la = (np.asarray(Image.open(path)) for path in paths.values())
    Image.fromarray(np.pad(ap[:, ::-1], ((3, 6), (9, 4)))).save(paths["ap"])
    Image.fromarray(ap.max() - la[::-1]).save(paths["la"])
    return paths


OPTIONS = {
    "ap_crop_box": (9, 3, 9 + SIZE, 3 + SIZE),
    "ap_flip_horizontal": True,
    "la_flip_vertical": True,
    "la_invert": True,
    "crop": "none",
}
FLAGS = (
    f"--ap_crop_box=9,3,{9 + SIZE},{3 + SIZE}",
    *("--ap_flip_horizontal", "--la_flip_vertical", "--la_invert", "--crop=none"),
)


def test_files_are_read_and_saved_as_by_the_command(films, model, models, tmp_path):
    paths = [f"--{view}={path}" for view, path in films.items()]
    command = (f"--model={models}", f"--output={tmp_path / 'command'}", "--spacing_mm=2.5")
    assert run_program("reconstruct", *command, *paths, *FLAGS).returncode == 0
    result = model(str(films["ap"]), films["la"], spacing_mm=2.5, **OPTIONS)
    expected = np.full((SIZE,) * 3, -1000)
    expected[BLOCK] = 1500
    np.testing.assert_array_equal(result.ct_hu, expected)
    verdict = result.save(tmp_path / "python")
    assert verdict.level == "fail"
    folders = tmp_path / "command", tmp_path / "python"
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1] and "report.html" in names[0]
    for name in ("ct.nii.gz", "segmentation.nii.gz"):
        pair = [read_volume(folder / name) for folder in folders]
        np.testing.assert_array_equal(pair[0].array, pair[1].array)
        assert pair[0].spacing_mm == pair[1].spacing_mm == (2.5,) * 3
    for name in ("films.png", "preview.png", "C3.stl"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    records = [
        json.loads((folder / "reconstruction.json").read_text("utf-8")) for folder in folders
    ]
    assert all(record.pop("date") for record in records)
    assert records[0] == records[1]
    assert [model["name"] for model in records[0]["models"]] == ["models"]
    assert folders[1].stat().st_mode & 0o077 == 0


def test_a_file_that_is_cut_otherwise_gives_another_ct(films, model):
    # The same films without the flip: the block is on the other side.
    result = model(**films, spacing_mm=2.5, **{**OPTIONS, "ap_flip_horizontal": False})
    expected = np.full((SIZE,) * 3, -1000)
    expected[BLOCK] = 1500
    np.testing.assert_array_equal(result.ct_hu, expected[::-1])


def test_the_size_of_a_pixel_gives_that_of_a_voxel(films, model, caplog):
    result = model(**films, **OPTIONS, ap_pixel_mm=3.0)
    assert result.spacing_mm == 3.0
    assert caplog.messages == []


def test_the_neck_is_searched_on_a_film_without_crop_box(films, model, monkeypatch):
    asked = []

    def find(opened, size, spacing_mm, fixed):
        asked.append((size, spacing_mm, fixed))
        raise UserError("no neck")

    monkeypatch.setattr("xctrs_tf.neck_finder.pair_crops.propose_crops", find)
    with pytest.raises(UserError, match="no neck"):
        model(**films, spacing_mm=2.0, ap_flip_horizontal=False, la_rotate=0.0)
    assert asked == [(SIZE, 2.0, {"ap": {"mirror"}, "la": {"turn"}})]


# The model of these tests does not know its voxel size; a pixel tells that of the result.
WIDE = {"la_pixel_mm": 3.0, "check_views": False}


@pytest.fixture
def wide_films(tmp_path):
    """Paths of the films of a block; AP is wider than what the network sees."""
    paths = {view: tmp_path / f"wide_{view}.png" for view in ("ap", "la")}
    films = block_films()
    write_film(paths["ap"], np.pad(films["ap"], 4), "ap")
    write_film(paths["la"], films["la"], "la")
    return paths


def test_a_search_that_cannot_be_made_is_said(wide_films, model, caplog):
    assert model.trained_spacing_mm() is None
    assert model(**wide_films, **WIDE).spacing_mm == 3.0
    assert NOT_SEARCHED in caplog.messages


@pytest.mark.parametrize(
    "options",
    [{"crop": "none"}, {"ap_crop_box": (4, 4, 36, 36)}, {"spacing_mm": 2.5}],
)
def test_nothing_is_said_where_no_search_is_missing(
    wide_films, model, monkeypatch, caplog, options
):
    monkeypatch.setattr(
        "xctrs_tf.neck_finder.pair_crops.propose_crops", lambda opened, *others: opened
    )
    model(**wide_films, **WIDE, **options)
    assert NOT_SEARCHED not in caplog.messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ap": "absent.png"}, "absent.png: no such file"),
        ({"la": None}, r"films: no lateral film \(--la\)"),
        ({"la": np.zeros((SIZE, SIZE))}, "one is a file and one an array; give two of a kind"),
        ({"ap": [[1, 2], [3]], "la": [[1, 2], [3, 4]]}, "--ap: neither a file nor an array"),
        ({"ap": "no", "la": "no", "crop": "left"}, "--crop=left: must be auto or none"),
        ({"ap_crop_box": (1, 2, 3)}, "--ap_crop_box=1,2,3: write it as left,top,right,bottom"),
        ({"ap_crop_box": (0.5, 0, 9, 9)}, "--ap_crop_box=0.5,0,9,9: write it as left,top"),
        ({"la_crop_box": 7}, "--la_crop_box=7: write it as left,top,right,bottom"),
        ({"la_pixel_mm": 0}, "--la_pixel_mm=0: must be 0.01 to 20, in mm"),
        ({"rotate": "upright"}, "--rotate=upright: must be -180 to 180 degrees"),
        ({"ap_rotate": float("nan")}, "--ap_rotate=nan: must be -180 to 180 degrees"),
        ({"spacing_mm": 0}, "--spacing_mm=0: must be above 0"),
    ],
)
def test_mistakes_are_one_line(films, model, options, message):
    with pytest.raises(UserError, match=message) as caught:
        model(**{**films, "spacing_mm": 2.5, **options})
    assert "\n" not in str(caught.value)


def test_films_of_different_heights_are_refused_unless_asked(model, tmp_path):
    films = block_films()
    paths = {view: tmp_path / f"{view}.png" for view in films}
    write_film(paths["ap"], films["ap"], "ap")
    write_film(paths["la"], films["ap"], "la")
    with pytest.raises(UserError, match="AP and LA have the same pixels"):
        model(**paths, spacing_mm=2.5)


def test_a_pair_that_was_read_gives_what_its_files_give(films, model):
    pair = read_pair(films, FilmOptions(**OPTIONS), model, 2.5)
    result = model.of_pair(pair)
    expected = model(**films, spacing_mm=2.5, **OPTIONS)
    np.testing.assert_array_equal(result.ct_hu, expected.ct_hu)
    assert result.pair is pair and result.spacing_mm == 2.5
    with pytest.raises(UserError, match="no neck"):
        model.of_pair(pair.refused("no neck"))


def test_options_for_files_do_not_silently_miss_arrays(model):
    with pytest.raises(UserError, match="ap_invert: for films that are given as files; an array"):
        model(**block_films(), spacing_mm=2.5, ap_invert=True)
    with pytest.raises(TypeError, match="ap_flip"):
        model(**block_films(), spacing_mm=2.5, ap_flip=True)


def test_arrays_give_a_result_that_can_be_saved(model, tmp_path):
    result = model(**block_films(), spacing_mm=2.5)
    assert result.save(tmp_path / "out", report=False, share=True) is None
    assert not (tmp_path / "out" / "report.html").exists()
    record = json.loads((tmp_path / "out" / "reconstruction.json").read_text(encoding="utf-8"))
    assert (record["spacing_mm"], record["films"]) == (2.5, None)
    assert (tmp_path / "out").stat().st_mode & 0o044


def test_nothing_is_saved_over_other_files(model, tmp_path):
    (tmp_path / "mine.txt").touch()
    result = model(**block_films(), spacing_mm=2.5)
    with pytest.raises(UserError, match="holds other files; choose an empty output folder"):
        result.save(tmp_path)
    with pytest.raises(UserError, match="out: cannot be written"):
        result.save(pathlib.Path("/proc/out"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_plot_shows_films_planes_and_outlines(model):
    import matplotlib.pyplot as plt

    result = model(**block_films(), spacing_mm=2.5)
    figure = result.plot()
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["AP film", "LA film", "Sagittal", "Coronal", "Axial"]
    # An outline is a collection of lines: none on the films.
    assert [len(axis.collections) for axis in figure.axes] == [0, 0, 1, 1, 1]
    plt.close(figure)
    own = plt.Figure()
    assert result.plot(own) is own and len(own.axes) == 5


def test_a_result_by_hand_tells_what_it_lacks(tmp_path):
    result = Reconstruction(np.zeros((4, 4, 4), np.int16), None, 2.0, (-3.0,) * 3)
    assert repr(result) == "Reconstruction(4 x 4 x 4 voxels of 2 mm, 0 to 0 HU, not segmented)"
    for method in (result.plot, lambda: result.save(tmp_path / "deep" / "out")):
        with pytest.raises(UserError, match="its films are not known"):
            method()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "text"),
    [((), "no vertebra"), ((3,), "C3"), ((2, 5), "C2, C5"), (range(1, 8), "C1 to C7")],
)
def test_the_vertebrae_of_a_repr(labels, text):
    segmentation = np.zeros((4, 4, 4), np.uint8)
    segmentation.flat[: len(labels)] = labels
    result = Reconstruction(segmentation.astype(np.int16), segmentation, 2.0, (-3.0,) * 3)
    assert repr(result).endswith(f"HU, {text})")


def test_a_model_names_itself(model, models):
    assert repr(model) == f"Reconstructor({models / '1'}: {SIZE}^3 voxels from two films)"


def test_options_of_one_film_win_over_those_of_both():
    frames = FilmOptions(rotate=5, la_rotate=-90, la_crop_box="1, 2, 3, 4").frames()
    assert [frames[view].rotate_deg for view in ("ap", "la")] == [5, -90]
    assert frames["la"].crop_box == (1, 2, 3, 4) and frames["ap"].crop_box is None
