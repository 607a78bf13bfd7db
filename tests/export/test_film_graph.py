"""Films decoded in the graph agree with those that the library reads."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.hostile.parts import png
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.film_normalisation import FILM_NORMALIZATIONS
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.export.film_graph import decode_films

SIZE = 32


def noise(shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def grey16(rows, columns):
    return Image.fromarray((noise((rows, columns)) * 65535).astype(np.uint16))


def grey8(rows, columns):
    return Image.fromarray((noise((rows, columns)) * 255).astype(np.uint8))


def grey_as_colours(mode):
    return grey8(SIZE, SIZE).convert(mode)


def grey_with_transparency():
    picture = grey_as_colours("LA")
    picture.putalpha(Image.fromarray((noise((SIZE, SIZE), 1) * 255).astype(np.uint8)))
    return picture


def opaque_grey():
    picture = grey_as_colours("LA")
    picture.putalpha(255)
    return picture


PICTURES = {
    "16 bits": lambda: grey16(SIZE, SIZE),
    "8 bits": lambda: grey8(SIZE, SIZE),
    "1 bit": lambda: Image.fromarray(noise((SIZE, SIZE)) > 0.7),
    "grey as RGB": lambda: grey_as_colours("RGB"),
    "grey as RGBA": lambda: grey_as_colours("RGBA"),
    "opaque grey": opaque_grey,
    "palette of greys": lambda: grey_as_colours("P"),
}


def saved(picture, path):
    picture.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("view", ["ap", "la"])
@pytest.mark.parametrize("normalization", FILM_NORMALIZATIONS)
def test_a_film_of_the_right_size_is_read_to_the_bit(tmp_path, kind, view, normalization):
    png = saved(PICTURES[kind](), tmp_path / "film.png")
    film = decode_films(tf.constant([png]), SIZE, normalization)
    assert film.shape == (1, SIZE, SIZE, 1)
    expected = read_film(tmp_path / "film.png", view, SIZE, film_normalization=normalization)
    np.testing.assert_array_equal(film[0, ..., 0], expected)


@pytest.mark.parametrize("shape", [(101, 100), (47, 47), (20, 20), (400, 400)])
def test_another_size_is_resampled_as_the_library_does(tmp_path, shape):
    png = saved(grey16(*shape), tmp_path / "film.png")
    film = decode_films(tf.constant([png]), SIZE)[0, ..., 0]
    expected = read_film(tmp_path / "film.png", "ap", SIZE)
    np.testing.assert_allclose(film, expected, rtol=0, atol=1e-5)


def test_an_equalized_film_of_another_size_is_resampled_as_the_library_does(tmp_path):
    png = saved(grey16(400, 400), tmp_path / "film.png")
    film = decode_films(tf.constant([png]), SIZE, "equalized")[0, ..., 0]
    expected = read_film(tmp_path / "film.png", "ap", SIZE, film_normalization="equalized")
    # Where the means of pixels differ by their rounding alone, two ranks may be exchanged.
    exchanged = np.abs(film - expected)
    assert exchanged.max() < 1.01 / (SIZE**2 - 1)
    assert exchanged.mean() < 1e-5


def test_no_exposure_changes_an_equalized_film_of_another_size(tmp_path):
    pixels = noise((200, 200))
    films = []
    for number, power in enumerate((0.5, 1, 2)):
        # Powers of a film of 8 bits keep its grey values apart in 16.
        film = np.round(65535 * (np.round(255 * pixels) / 255) ** power)
        Image.fromarray(film.astype(np.uint16)).save(tmp_path / f"{number}.png")
        png = (tmp_path / f"{number}.png").read_bytes()
        films.append(decode_films(tf.constant([png]), SIZE, "equalized")[0, ..., 0])
    np.testing.assert_array_equal(films[0], films[1])
    np.testing.assert_array_equal(films[2], films[1])


def test_every_film_of_a_batch_is_scaled_by_itself(tmp_path):
    films = np.zeros((2, SIZE, SIZE))
    films[0, 20:24, 7:9] = 5.0
    films[1, 3:5, 27:31] = 0.25
    for number, film in enumerate(films):
        write_film(tmp_path / f"{number}.png", film, "la")
    pngs = [(tmp_path / f"{number}.png").read_bytes() for number in (0, 1)]
    np.testing.assert_array_equal(decode_films(tf.constant(pngs), SIZE)[..., 0], films > 0)


def header_of(width, height):
    """Return a PNG that states a size and has no pixels."""
    return png(width, height, depth=16, data=b"")


def as_bytes(picture, kind="PNG"):
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def colours():
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[..., 1] = np.arange(SIZE)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("png", "message"),
    [
        (b"", "film: not a PNG picture"),
        (b"hello", "film: not a PNG picture"),
        (as_bytes(grey8(SIZE, SIZE), "JPEG"), "film: not a PNG picture"),
        (header_of(SIZE, 0), "film: not a PNG picture"),
        # The header alone leads to the refusal: the file has no pixels.
        (header_of(5793, 5793), "film: over 33554432 pixels or 16383 a side"),
        (header_of(16384, 8), "film: over 33554432 pixels or 16383 a side"),
        (header_of(2**31 - 1, 2**31 - 1), "film: over 33554432 pixels or 16383 a side"),
        (as_bytes(grey8(100, 102)), "film: not square"),
        (as_bytes(colours()), "film: a colour picture"),
        (as_bytes(grey_with_transparency()), "film: has transparent pixels"),
        (as_bytes(Image.fromarray(np.full((SIZE, SIZE), 7, np.uint8))), "film: constant"),
        (as_bytes(grey16(SIZE, SIZE))[:300], "(?i)png"),
    ],
)
def test_what_is_no_film_is_refused(png, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode_films(tf.constant([png]), SIZE)


def test_the_largest_film_passes_the_header_check():
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?i)png") as caught:
        decode_films(tf.constant([header_of(5792, 5792)]), SIZE)
    assert "film: over" not in caught.value.message
