import gzip
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from tests.hostile.parts import png
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.errors import UserError


def random_film(width=8, height=8, seed=0):
    return np.random.default_rng(seed).random((width, height)).astype(np.float32)


def save_picture(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_written_film_reads_back(tmp_path, view):
    film = random_film(16, 16) * 5 + 2
    write_film(tmp_path / "film.png", film, view)
    with Image.open(tmp_path / "film.png") as picture:
        assert picture.mode == "I;16"
    read = read_film(tmp_path / "film.png", view, 16)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, normalise_film(film), atol=1 / 65535)


def test_pictures_show_superior_on_top_and_the_first_horizontal_index_on_the_left(tmp_path):
    # On an AP film index [0, -1] is the patient's right, superior: the upper left corner.
    pixels = np.zeros((8, 8), np.uint8)
    pixels[0, 0], pixels[0, 7], pixels[7, 0] = 255, 170, 85
    film = read_film(save_picture(tmp_path / "ap.png", pixels), "ap", 8)
    np.testing.assert_allclose([film[0, -1], film[-1, -1], film[0, 0]], [1, 2 / 3, 1 / 3])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_pictures_of_8_and_16_bits(tmp_path, suffix, kind):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (8, 8), kind)
    film = read_film(save_picture(tmp_path / f"film{suffix}", pixels), "la", 8)
    np.testing.assert_allclose(film, normalise_film(pixels[::-1].T), atol=1e-6)


def test_colour_pictures_of_grey_are_films_and_others_not(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8), np.uint8)
    grey = normalise_film(pixels[::-1].T)
    for channels in (3, 4):
        stacked = np.repeat(pixels[..., np.newaxis], channels, axis=2)
        stacked[..., 3:] = 255
        path = save_picture(tmp_path / f"grey{channels}.png", stacked)
        np.testing.assert_allclose(read_film(path, "ap", 8), grey, atol=1e-6)
        stacked[..., :3] = np.random.default_rng(1).integers(0, 255, (8, 8, 3), np.uint8)
        with pytest.raises(UserError, match=r"colour\.png: a colour picture"):
            read_film(save_picture(tmp_path / "colour.png", stacked), "ap", 8)
    palette = Image.fromarray(pixels).convert("P")
    palette.save(tmp_path / "palette.png")
    np.testing.assert_allclose(read_film(tmp_path / "palette.png", "ap", 8), grey, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1)])
def test_nifti_films_hold_the_array_in_index_order(tmp_path, shape):
    film = random_film()
    # An image without a direction: NIfTI's own axes differ from LPS in two signs.
    sitk.WriteImage(sitk.GetImageFromArray(film.reshape(shape).T), tmp_path / "film.nii.gz")
    read = read_film(tmp_path / "film.nii.gz", "ap", 8)
    np.testing.assert_allclose(read, normalise_film(film), atol=1e-6)


def test_a_volume_is_no_film(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 8, 9))), tmp_path / "film.nii.gz")
    with pytest.raises(UserError, match=r"film\.nii\.gz: 9 x 8 x 2 values; a film has one slice"):
        read_film(tmp_path / "film.nii.gz", "ap", 8)


def test_another_size_is_resampled_without_aliasing(tmp_path):
    # Noise on a slope: in coarse pixels only the slope is left.
    slope = np.linspace(0, 50000, 64)[:, np.newaxis] + np.zeros(64)
    noise = 8000 * random_film(64, 64)
    path = save_picture(tmp_path / "film.png", (slope + noise).T.astype(np.uint16))
    film = read_film(path, "ap", 16)
    assert film.shape == (16, 16)
    assert film.std(axis=1).max() < 0.02
    np.testing.assert_allclose(film.mean(axis=1), np.linspace(0, 1, 16), atol=0.06)


def test_nearly_square_is_square_enough(tmp_path):
    path = save_picture(tmp_path / "film.png", random_film(101, 100) > 0.5)
    assert read_film(path, "ap", 32).shape == (32, 32)
    path = save_picture(tmp_path / "film.png", random_film(104, 100) > 0.5)
    with pytest.raises(UserError, match="100 x 104 pixels; crop or pad the film square"):
        read_film(path, "la", 32)


def test_files_that_are_no_films(tmp_path):
    with pytest.raises(UserError, match=r"absent\.png: no such file"):
        read_film(tmp_path / "absent.png", "ap", 8)
    (tmp_path / "film.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"film\.png: damaged, or not a PNG, TIFF or JPEG picture"):
        read_film(tmp_path / "film.png", "ap", 8)
    (tmp_path / "film.doc").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"film\.doc: unknown kind of film; use DICOM, PNG"):
        read_film(tmp_path / "film.doc", "ap", 8)


def test_a_truncated_picture(tmp_path):
    path = save_picture(tmp_path / "film.png", (random_film(64, 64) * 255).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"film\.png: damaged, or not a PNG, TIFF or JPEG picture"):
        read_film(path, "ap", 8)


def test_a_tiff_of_two_pages(tmp_path):
    page = Image.fromarray(np.zeros((8, 8), np.uint8))
    page.save(tmp_path / "film.tif", save_all=True, append_images=[page])
    with pytest.raises(UserError, match=r"film\.tif: several pages; save one film a file"):
        read_film(tmp_path / "film.tif", "ap", 8)


def test_a_constant_picture_names_its_file(tmp_path):
    path = save_picture(tmp_path / "film.png", np.full((8, 8), 3, np.uint8))
    with pytest.raises(UserError, match=r"film\.png: film: constant"):
        read_film(path, "ap", 8)


def test_a_float_tiff_with_nan_names_its_file(tmp_path):
    film = random_film()
    film[0, 0] = np.nan
    with pytest.raises(UserError, match=r"film\.tif: film: holds NaN"):
        read_film(save_picture(tmp_path / "film.tif", film), "ap", 8)


def write_png_header(path, width, height):
    """Write a PNG of 1000 pixels whose header states another size; return the path."""
    path.write_bytes(png(width, height, data=zlib.compress(bytes(1000))))
    return path


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (6000, 6000, "6000 x 6000 pixels, more than the 34 million that are read"),
        (9600, 9600, "far too many pixels; shrink the film first"),
        (16384, 16384, "far too many pixels; shrink the film first"),
        (100000, 100000, "far too many pixels; shrink the film first"),
        (20000, 2, "20000 x 2 pixels, more than the 34 million"),
        (0, 8, "film.png: "),
        (8, 0, "film.png: "),
    ],
)
def test_pictures_of_a_size_that_no_film_has(tmp_path, width, height, message):
    path = write_png_header(tmp_path / "film.png", width, height)
    with pytest.raises(UserError, match=message) as caught:
        read_film(path, "ap", 8)
    assert "\n" not in str(caught.value)


def test_a_volume_file_of_a_size_that_no_film_has(tmp_path):
    path = tmp_path / "film.nrrd"
    path.write_text(
        "NRRD0004\ntype: short\ndimension: 2\nsizes: 16384 16384\n"
        "encoding: raw\nendian: little\n\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match=r"film\.nrrd: 16384 x 16384 pixels, more than"):
        read_film(path, "ap", 8)


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(random_film()), tmp_path / "film.nii.gz")
    with gzip.open(tmp_path / "film.nii.gz", "ab") as stream:
        stream.write(bytes(2 * 10**6))
    with pytest.raises(UserError, match=r"film\.nii\.gz: unpacks to over 1 MB, more than is read"):
        read_film(tmp_path / "film.nii.gz", "ap", 8)


def test_a_damaged_gzip(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(random_film()), tmp_path / "film.nii.gz")
    content = (tmp_path / "film.nii.gz").read_bytes()
    (tmp_path / "film.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"film\.nii\.gz: damaged gzip; fetch the file again"):
        read_film(tmp_path / "film.nii.gz", "ap", 8)


def test_a_tiff_whose_white_is_zero(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65535, (8, 8), np.uint16)
    # Tag 262 alone: Pillow inverts such pictures only if they have 8 bits.
    Image.fromarray(pixels).save(tmp_path / "film.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "film.tif") as picture:
        assert picture.tag_v2[262] == 0
    film = read_film(tmp_path / "film.tif", "ap", 8)
    np.testing.assert_allclose(film, normalise_film(65535.0 - pixels[::-1].T), atol=1e-6)
