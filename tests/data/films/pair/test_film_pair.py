import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from tests.data.films.pair.reading import read_film_pair
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.errors import UserError

SIZE = 16
WHOLE = {"ap": FilmFrame(), "la": FilmFrame()}


def pixels_of(view):
    """Return the picture ``[row, column]`` of a film."""
    return np.random.default_rng(ord(view[0])).integers(0, 65535, (48, 48), np.uint16)


def write_pictures(folder, **changes):
    """Write both films as PNG, one of them changed; return their paths."""
    paths = {view: folder / f"{view}.png" for view in ("ap", "la")}
    for view, path in paths.items():
        Image.fromarray(changes.get(view, lambda pixels: pixels)(pixels_of(view))).save(path)
    return paths


def write_volumes(folder, **pixel_mm):
    """Write both films as NIfTI with the given pixel sizes; return their paths."""
    paths = {view: folder / f"{view}.nii.gz" for view in ("ap", "la")}
    for view, path in paths.items():
        image = sitk.GetImageFromArray(pixels_of(view)[::-1].astype(np.float32))
        image.SetSpacing([float(edge) for edge in np.broadcast_to(pixel_mm[view], 2)])
        sitk.WriteImage(image, path)
    return paths


def in_a_larger_picture(pixels):
    """Pad a film by 3 columns on its left, 5 on its right, 7 rows on top and 2 below."""
    return np.pad(pixels, ((7, 2), (3, 5)), constant_values=65535)


@pytest.mark.parametrize(
    ("change", "frame"),
    [
        (in_a_larger_picture, FilmFrame(crop_box=(3, 7, 51, 55))),
        (lambda pixels: pixels[:, ::-1], FilmFrame(flip_horizontal=True)),
        (lambda pixels: pixels[::-1], FilmFrame(flip_vertical=True)),
        (lambda pixels: 65535 - pixels, FilmFrame(invert=True)),
        (
            lambda pixels: in_a_larger_picture(65535 - pixels[::-1, ::-1]),
            FilmFrame((3, 7, 51, 55), None, None, True, True, True),
        ),
    ],
)
@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_frame_undoes_what_was_done_to_a_film(tmp_path, view, change, frame):
    # At the films' own size nothing is resampled, so that every bit must be equal.
    expected, _ = read_film_pair(write_pictures(tmp_path), WHOLE, 48)
    changed = write_pictures(tmp_path, **{view: change})
    films, spacing_mm = read_film_pair(changed, {**WHOLE, view: frame}, 48)
    assert spacing_mm is None
    for name in ("ap", "la"):
        np.testing.assert_array_equal(films[name], expected[name])


def test_a_spacing_cuts_films_of_known_scale_about_their_middle(tmp_path):
    paths = write_volumes(tmp_path, ap=0.5, la=1.0)
    films, spacing_mm = read_film_pair(paths, WHOLE, SIZE, 1.0)
    assert spacing_mm == 1.0
    # 16 mm are 32 pixels of AP and 16 of LA.
    middle = pixels_of("la")[16:32, 16:32].astype(np.float32)
    np.testing.assert_array_equal(films["la"], normalise_film(middle[::-1].T))
    frames = {**WHOLE, "ap": FilmFrame(crop_box=(8, 8, 40, 40))}
    boxes, _ = read_film_pair(write_pictures(tmp_path), frames, SIZE)
    np.testing.assert_array_equal(films["ap"], boxes["ap"])


def test_a_spacing_leaves_a_film_of_unknown_scale_to_its_box(tmp_path):
    whole, _ = read_film_pair(write_pictures(tmp_path), WHOLE, SIZE)
    films, spacing_mm = read_film_pair(write_pictures(tmp_path), WHOLE, SIZE, 2.5)
    assert spacing_mm == 2.5
    for view in ("ap", "la"):
        np.testing.assert_array_equal(films[view], whole[view])
    with pytest.raises(UserError, match=r"la\.png: the network sees 40 mm, which reaches over"):
        frames = {**WHOLE, "la": FilmFrame(pixel_mm=0.5)}
        read_film_pair(write_pictures(tmp_path), frames, SIZE, 2.5)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ({}, None),
        # 48 pixels of 2 mm on 16 voxels.
        ({"ap": FilmFrame(pixel_mm=2)}, 6.0),
        ({"la": FilmFrame(pixel_mm=(2, 2))}, 6.0),
        ({"ap": FilmFrame(pixel_mm=2), "la": FilmFrame(pixel_mm=2.01)}, 6.015),
        # Boxes of 24 and 36 pixels that show 18 mm each.
        (
            {
                "ap": FilmFrame((1, 2, 25, 26), pixel_mm=0.75),
                "la": FilmFrame((4, 3, 40, 39), pixel_mm=0.5),
            },
            1.125,
        ),
    ],
)
def test_voxel_size_follows_from_the_boxes(tmp_path, frames, expected):
    _, spacing_mm = read_film_pair(write_pictures(tmp_path), {**WHOLE, **frames}, SIZE)
    assert spacing_mm == (expected if expected is None else pytest.approx(expected))


def test_the_frame_overrides_the_scale_of_the_file(tmp_path):
    paths = write_volumes(tmp_path, ap=0.5, la=0.5)
    assert read_film_pair(paths, WHOLE, SIZE)[1] == pytest.approx(1.5)
    frames = {view: FilmFrame(pixel_mm=1.0) for view in ("ap", "la")}
    assert read_film_pair(paths, frames, SIZE)[1] == pytest.approx(3.0)


def test_films_of_different_widths_are_refused(tmp_path):
    paths = write_volumes(tmp_path, ap=0.5, la=0.51)
    with pytest.raises(UserError, match="films: AP shows 24 mm and LA 24 mm"):
        read_film_pair(paths, WHOLE, SIZE)
    assert read_film_pair(paths, WHOLE, SIZE, 1.0)[1] == 1.0


def test_one_film_given_twice_is_refused_whatever_its_files_are_called(tmp_path):
    paths = write_pictures(tmp_path)
    again = tmp_path / "again.tif"
    Image.fromarray(pixels_of("ap")).save(again)
    for other in (paths["ap"], again):
        with pytest.raises(
            UserError, match="AP and LA have the same pixels; give one film of each"
        ):
            read_film_pair({"ap": paths["ap"], "la": other}, WHOLE, SIZE)


@pytest.mark.parametrize("change", [lambda film: 65535 - film[::-1], lambda film: film // 2])
def test_a_copy_of_a_film_is_refused_without_the_check_too(tmp_path, change):
    smooth = np.kron(pixels_of("ap")[::6, ::6], np.ones((6, 6), np.uint16))
    paths = {view: tmp_path / f"{view}.png" for view in ("ap", "la")}
    for film, path in zip((smooth, change(smooth)), paths.values(), strict=True):
        Image.fromarray(film).save(path)
    with pytest.raises(UserError, match="AP and LA show one view twice; give one film of each"):
        read_film_pair(paths, WHOLE, SIZE)


def test_one_film_alone_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no lateral film \(--la\); both views are needed, since"):
        read_film_pair({"ap": write_pictures(tmp_path)["ap"]}, WHOLE, SIZE)
