"""JPEG films, colour pictures of grey content, transparency, and photos of films."""

import logging
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from experiments.studies.photo_check_rates import bordered, photo
from tests.data.films.expected_films import as_film
from tests.data.films.pair.reading import read_film_pair
from tests.hostile.parts import png
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.errors import UserError

EDGE = 96


def smooth_noise(seed=0, edge=EDGE):
    """Return a picture in [0, 1] without edges of its own."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((edge, edge)), 4)
    return (noise - noise.min()) / np.ptp(noise)


GREY = np.round(20 + 200 * smooth_noise()).astype(np.uint8)


def tinted(tint=(0.7, 0.85, 1.0)):
    return np.round(GREY[..., np.newaxis] * np.array(tint)).astype(np.uint8)


def marked(share):
    """Return a picture with a red mark on this share of it."""
    colours = np.repeat(GREY[..., np.newaxis], 3, axis=2)
    side = round(np.sqrt(share) * EDGE)
    colours[10 : 10 + side, 20 : 20 + side] = (230, 20, 20)
    return colours


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def read_with_remarks(path, caplog):
    with caplog.at_level(logging.WARNING):
        film = read_film(path, "ap", EDGE)
    return film, [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".jp2", ".j2k"])
def test_jpeg_films(tmp_path, suffix, caplog):
    lossless = {"irreversible": False} if "2" in suffix else {"quality": 98}
    path = save(tmp_path / f"film{suffix}", GREY, **lossless)
    film, remarks = read_with_remarks(path, caplog)
    assert remarks == []
    np.testing.assert_allclose(film, as_film(GREY), atol=0 if "2" in suffix else 0.03)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"damaged, or not a PNG, TIFF or JPEG picture"):
        read_film(path, "ap", EDGE)


def test_jpeg_2000_of_16_bits(tmp_path):
    pixels = np.round(65535 * smooth_noise()).astype(np.uint16)
    path = save(tmp_path / "film.jp2", pixels)
    np.testing.assert_allclose(read_film(path, "ap", EDGE), as_film(pixels), atol=1e-6)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("is_coloured", [False, True])
def test_exif_turns_a_jpeg(tmp_path, number, is_coloured, caplog):
    stored = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: np.rot90,
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }[number](tinted() if is_coloured else GREY)
    exif = Image.Exif()
    exif[274] = number
    path = save(tmp_path / "film.jpg", np.ascontiguousarray(stored), quality=98, exif=exif)
    film, remarks = read_with_remarks(path, caplog)
    np.testing.assert_allclose(film, as_film(GREY), atol=0.05)
    said = [remark for remark in remarks if f"turned as its orientation {number} says" in remark]
    assert len(said) == (number != 1)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize(
    ("tint", "words"),
    [((0.7, 0.85, 1), "of one tint"), ((1, 0.9, 0.7), "of one tint"), ((1, 1, 0.99), "but for r")],
)
def test_a_tinted_film_is_converted_and_it_is_said(tmp_path, suffix, tint, words, caplog):
    options = {"quality": 95} if suffix == ".jpg" else {}
    path = save(tmp_path / f"film{suffix}", tinted(tint), **options)
    film, remarks = read_with_remarks(path, caplog)
    np.testing.assert_allclose(film, as_film(GREY), atol=0.05)
    assert len(remarks) == 1
    assert words in remarks[0] and f"film{suffix}: a colour picture" in remarks[0]


def test_a_mark_is_named_and_real_colours_are_refused(tmp_path, caplog):
    film, remarks = read_with_remarks(save(tmp_path / "film.png", marked(0.005)), caplog)
    assert len(remarks) == 1
    assert "coloured marks (red) on 0.53% of it, within the box 20,10,27,17" in remarks[0]
    away = np.ones((EDGE, EDGE), bool)
    away[70:, 10:40] = False
    np.testing.assert_allclose(film[away.T], as_film(GREY)[away.T], atol=0.1)
    with pytest.raises(UserError, match=r"a colour picture \(red on 5% of it\); export the film"):
        read_film(save(tmp_path / "film.png", marked(0.05)), "ap", EDGE)
    scene = np.stack([np.round(255 * smooth_noise(seed)) for seed in (1, 2, 3)], -1)
    with pytest.raises(UserError, match=r"a colour picture \(.* on \d\d% of it\); export"):
        read_film(save(tmp_path / "film.jpg", scene.astype(np.uint8)), "ap", EDGE)


def test_a_bright_mark_is_no_tint(tmp_path):
    """Yellow text is brighter than all of the film, and must not pass as its tint."""
    colours = np.repeat(GREY[..., np.newaxis], 3, axis=2)
    colours[:20] = (255, 255, 0)
    with pytest.raises(UserError, match=r"a colour picture \(yellow on"):
        read_film(save(tmp_path / "film.png", colours), "ap", EDGE)


def test_transparency_is_refused_where_it_hides_something(tmp_path):
    for colours in (np.repeat(GREY[..., np.newaxis], 3, axis=2), GREY[..., np.newaxis]):
        alpha = np.full((EDGE, EDGE, 1), 255, np.uint8)
        path = save(tmp_path / "film.png", np.concatenate([colours, alpha], -1))
        np.testing.assert_allclose(read_film(path, "ap", EDGE), as_film(GREY), atol=1e-6)
        alpha[:24] = 7
        path = save(tmp_path / "film.png", np.concatenate([colours, alpha], -1))
        with pytest.raises(UserError, match=r"25\.0% of its pixels are transparent.* without an"):
            read_film(path, "ap", EDGE)
    save(tmp_path / "film.png", GREY, transparency=int(GREY[0, 0]))
    with pytest.raises(UserError, match="of its pixels are transparent"):
        read_film(tmp_path / "film.png", "ap", EDGE)


@pytest.mark.parametrize(("color", "channels"), [(2, 3), (4, 2)])
def test_what_is_left_of_16_bits_in_several_channels(tmp_path, color, channels, caplog):
    deep = np.round(65535 * smooth_noise()).astype(">u2")
    pixels = np.repeat(deep[..., np.newaxis], channels, axis=2)
    if color == 4:
        pixels[..., 1] = 65535
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    (tmp_path / "film.png").write_bytes(png(EDGE, EDGE, 16, color, data))
    film, remarks = read_with_remarks(tmp_path / "film.png", caplog)
    np.testing.assert_allclose(film, as_film(deep), atol=1 / 200)
    assert len(remarks) == 1 and "the upper 8 of its 16 bits are read" in remarks[0]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_picture_by_a_camera_is_refused(tmp_path, suffix):
    exif = Image.Exif()
    exif[271], exif[272] = "Telephone", "X 100"
    path = save(tmp_path / f"film{suffix}", GREY, exif=exif)
    # Scanners write their make and model, too.
    assert read_film(path, "ap", EDGE).shape == (EDGE, EDGE)
    exif.get_ifd(0x8769)[33434] = 0.01
    # Pillow writes these fields of a TIFF beside its other tags.
    options = {"tiffinfo": {**exif, 33434: (1, 100)}} if suffix == ".tif" else {"exif": exif}
    save(path, GREY, **options)
    with pytest.raises(UserError, match=r"a photo by Telephone X 100 \(EXIF ExposureTime\)"):
        read_film(path, "ap", EDGE)


def test_a_phones_second_picture(tmp_path):
    picture, exif = Image.fromarray(GREY), Image.Exif()
    exif[272] = "X 100"
    options = {"format": "MPO", "save_all": True, "append_images": [picture.resize((32, 32))]}
    picture.save(tmp_path / "film.jpg", exif=exif, **options)
    with pytest.raises(UserError, match="several pages; save one film a file"):
        read_film(tmp_path / "film.jpg", "ap", EDGE)
    exif.get_ifd(0x8769)[37386] = 5.0
    picture.save(tmp_path / "film.jpg", exif=exif, **options)
    with pytest.raises(UserError, match=r"a photo by X 100 \(EXIF FocalLength\)"):
        read_film(tmp_path / "film.jpg", "ap", EDGE)


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("direction", [0, 40, 130])
def test_a_film_seen_at_an_angle_is_refused(tmp_path, level, direction):
    rng = np.random.default_rng(0)
    film = 0.2 + 0.6 * smooth_noise(edge=300)
    picture = np.round(255 * photo(film, 25, direction, level, rng)).astype(np.uint8)
    path = save(tmp_path / "film.png", picture)
    with pytest.raises(
        UserError, match=r"a photo of a film, seen at an angle .* export the film fr"
    ):
        read_film(path, "ap", 64)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_scanned_film_on_a_border_is_none(tmp_path, level):
    rng = np.random.default_rng(0)
    for _ in range(4):
        picture = bordered(0.2 + 0.6 * smooth_noise(edge=300), level, rng)
        edge = min(picture.shape)
        path = save(tmp_path / "film.png", np.round(255 * picture).astype(np.uint8))
        assert read_film(path, "ap", 64, FilmFrame((0, 0, edge, edge))).shape == (64, 64)


def test_a_pair_collects_its_remarks(tmp_path, caplog):
    paths = {
        "ap": save(tmp_path / "ap.png", tinted()),
        "la": save(tmp_path / "la.png", np.roll(tinted(), EDGE // 3, axis=(0, 1))),
    }
    remarks = []
    with caplog.at_level(logging.WARNING):
        read_film_pair(paths, {"ap": FilmFrame(), "la": FilmFrame()}, EDGE, remarks=remarks)
    assert [remark.split(": ")[0] for remark in remarks] == [str(paths["ap"]), str(paths["la"])]
    assert caplog.records == []
