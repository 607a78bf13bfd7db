"""Orientation, shape of a pixel, and every depth and polarity of PNG and TIFF films."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.data.films.expected_films import as_film, check_film
from tests.hostile.parts import chunk, png
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.errors import UserError

SHORT, LONG, RATIO = 3, 4, 5
PIXELS = np.random.default_rng(0).integers(0, 4095, (12, 12), np.uint16)
INVERSE = 4095 - PIXELS


def check(path, picture=PIXELS):
    check_film(path, picture)


def tiff(path, data, bits, photometric, order="<", kind=1, big=False, **tags):
    """Write an uncompressed TIFF film of 12 x 12 pixels and return its path."""
    names = {"fill_order": 266, "orientation": 274}
    values = {256: 12, 257: 12, 258: bits, 259: 1, 262: photometric, 277: 1, 278: 12, 339: kind}
    values |= {273: 600, 279: len(data)} | {names[name]: value for name, value in tags.items()}
    entry = order + ("HHQQ" if big else "HHII")
    width = 8 if big else 4
    entries = b""
    for tag, value in sorted(values.items()):
        kept = LONG if tag in (256, 257, 273, 278, 279) else SHORT
        inline = struct.pack(order + ("I" if kept == LONG else "H"), value).ljust(width, b"\0")
        entries += struct.pack(entry[:-1], tag, kept, 1) + inline
    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHHQQ", 43, 8, 0, 16, len(values))
        if big
        else struct.pack(order + "HIH", 42, 8, len(values))
    )
    path.write_bytes((head + entries + bytes(width)).ljust(600, b"\0") + data)
    return path


def packed_12(pixels):
    high, low = pixels.ravel()[0::2].astype(int), pixels.ravel()[1::2].astype(int)
    triples = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], -1)
    return triples.astype(np.uint8).tobytes()


KINDS = {
    "8": (lambda p, o: (p >> 4).astype("u1").tobytes(), 8, 1),
    "8 signed": (lambda p, o: ((p >> 4).astype(int) - 128).astype("i1").tobytes(), 8, 2),
    "16": (lambda p, o: p.astype(o + "u2").tobytes(), 16, 1),
    "16 signed": (lambda p, o: (p.astype(int) - 2048).astype(o + "i2").tobytes(), 16, 2),
    "12": (lambda p, o: packed_12(p), 12, 1),
    "32": (lambda p, o: (p.astype(o + "u4") << 20).tobytes(), 32, 1),
    "32 signed": (lambda p, o: (p.astype(int) - 2048).astype(o + "i4").tobytes(), 32, 2),
    "float": (lambda p, o: p.astype(o + "f4").tobytes(), 32, 3),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("name", KINDS)
def test_every_depth_polarity_and_byte_order_is_right_or_refused(
    tmp_path, name, photometric, order
):
    encode, bits, kind = KINDS[name]
    stored = PIXELS if photometric else INVERSE
    path = tiff(tmp_path / "film.tif", encode(stored, order), bits, photometric, order, kind)
    if (name, order) in (("12", ">"), ("32", ">")):
        with pytest.raises(
            UserError, match="bits, big-endian, damaged or not read; export the film as 8"
        ):
            read_film(path, "ap", 12)
    else:
        check(
            path,
            -(INVERSE >> 4).astype(int)
            if bits == 8 and not photometric
            else PIXELS >> 4
            if bits == 8
            else PIXELS,
        )


def test_a_big_tiff_whose_white_is_zero(tmp_path):
    check(tiff(tmp_path / "film.tif", INVERSE.astype("<u2").tobytes(), 16, 0, big=True))
    path = tiff(tmp_path / "film.tif", INVERSE.astype(">u2").tobytes(), 16, 0, ">", big=True)
    with pytest.raises(UserError, match="16 bits, big-endian, damaged or not read"):
        read_film(path, "ap", 12)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_compressed_tiff_whose_white_is_zero(tmp_path, compression):
    path = tmp_path / "film.tif"
    Image.fromarray(INVERSE).save(path, compression=compression, tiffinfo={262: 0})
    check(path)


def test_bits_in_reverse_order_are_refused(tmp_path):
    path = tiff(tmp_path / "film.tif", PIXELS.astype("<u2").tobytes(), 16, 1, fill_order=2)
    with pytest.raises(UserError, match="its FillOrder is 2, which programs read in two ways"):
        read_film(path, "ap", 12)


def test_colours_of_printing_and_video_are_refused(tmp_path):
    grey = Image.fromarray((PIXELS >> 4).astype(np.uint8))
    for mode in ("CMYK", "YCbCr", "LAB"):
        picture = (
            grey.convert("RGB").convert(mode)
            if mode != "LAB"
            else Image.merge("LAB", [grey, grey, grey])
        )
        picture.save(tmp_path / "film.tif")
        with pytest.raises(UserError, match=r"a colour picture \(.*; export the film as 8- or"):
            read_film(tmp_path / "film.tif", "ap", 12)


def turned(number):
    """Return the picture that a viewer turns upright by an orientation."""
    return {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.T,
        6: np.rot90(PIXELS),
        7: PIXELS[::-1, ::-1].T,
        8: np.rot90(PIXELS, -1),
    }[number]


@pytest.mark.parametrize("number", range(1, 9))
def test_exif_turns_a_png(tmp_path, number):
    exif = Image.Exif()
    exif[274] = number
    picture = Image.fromarray(np.ascontiguousarray(turned(number)))
    picture.save(tmp_path / "film.png", exif=exif)
    check(tmp_path / "film.png")


def test_other_places_of_the_orientation_in_a_png(tmp_path):
    """A program may write EXIF as text, as ImageMagick does, or XMP, as Photoshop does."""
    exif = Image.Exif()
    exif[274] = 2
    raw = b"\nexif\n%8d\n%s\n" % (len(exif.tobytes()), exif.tobytes().hex().encode())
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="2"/>'
    rows = np.ascontiguousarray(PIXELS[:, ::-1] >> 4).astype(np.uint8)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    for extra in (
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw)),
        chunk(b"iTXt", xmp),
    ):
        (tmp_path / "film.png").write_bytes(png(12, 12, data=data, extra=extra))
        check(tmp_path / "film.png", PIXELS >> 4)


def test_exif_after_the_pixels_turns_a_png(tmp_path):
    exif = Image.Exif()
    exif[274] = 2
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(PIXELS[:, ::-1])).save(stream, "PNG")
    content, end = stream.getvalue(), chunk(b"IEND", b"")
    assert content.endswith(end)
    late = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "film.png").write_bytes(content.removesuffix(end) + late + end)
    check(tmp_path / "film.png")


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("compressed", [False, True])
def test_the_orientation_turns_a_tiff(tmp_path, number, compressed):
    stored = np.ascontiguousarray(turned(number))
    path = tmp_path / "film.tif"
    if compressed:
        Image.fromarray(stored).save(path, compression="tiff_lzw", tiffinfo={274: number})
    else:
        tiff(path, stored.astype("<u2").tobytes(), 16, 1, orientation=number)
    check(path)


def test_a_crop_box_counts_on_the_turned_picture(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    picture = Image.fromarray(np.ascontiguousarray(np.rot90(PIXELS[:, :8])))
    assert picture.size == (12, 8)
    picture.save(tmp_path / "film.png", exif=exif)
    film = read_film(tmp_path / "film.png", "ap", 6, FilmFrame(crop_box=(1, 5, 7, 11)))
    np.testing.assert_allclose(film, as_film(PIXELS[5:11, 1:7]), atol=1e-6)


def physical(across, up, unit):
    return chunk(b"pHYs", struct.pack(">IIB", across, up, unit))


@pytest.mark.parametrize("unit", [0, 1])
def test_a_png_of_pixels_that_are_not_square(tmp_path, unit):
    path = tmp_path / "film.png"
    path.write_bytes(png(12, 12, extra=physical(7874, 3937, unit)))
    with pytest.raises(UserError, match="12 x 12 pixels of shape 1 x 2; crop or pad the film squ"):
        read_film(path, "ap", 12)
    rows = b"".join(b"\0" + row.tobytes() for row in (PIXELS[:6] >> 4).astype(np.uint8))
    data = zlib.compress(rows)
    path.write_bytes(png(12, 6, data=data, extra=physical(7874, 3937, unit)))
    assert read_film(path, "ap", 12).shape == (12, 12)


def test_densities_that_are_equal_or_none_change_nothing(tmp_path):
    for densities in ((7874, 7874), (0, 0), (0, 5)):
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in (PIXELS >> 4).astype("u1")))
        content = png(12, 12, data=data, extra=physical(*densities, 1))
        (tmp_path / "film.png").write_bytes(content)
        check(tmp_path / "film.png", PIXELS >> 4)


def test_a_tiff_of_unequal_resolutions(tmp_path):
    path = tmp_path / "film.tif"
    Image.fromarray(PIXELS).save(path, tiffinfo={282: 200.0, 283: 100.0, 296: 2})
    with pytest.raises(UserError, match="12 x 12 pixels of shape 1 x 2; crop or pad the film squ"):
        read_film(path, "ap", 12)
    Image.fromarray(PIXELS).save(path, tiffinfo={282: 100.0, 283: 100.0, 296: 2})
    check(path)


@pytest.mark.parametrize("tag", [256, 257, 262])
def test_a_tiff_without_a_tag_that_is_needed(tmp_path, tag):
    path = tiff(tmp_path / "film.tif", PIXELS.tobytes(), 16, 1)
    content = path.read_bytes()
    entry = content.index(struct.pack("<H", tag), 10)
    path.write_bytes(content[:entry] + struct.pack("<H", 65000) + content[entry + 2 :])
    with pytest.raises(UserError, match=r"its tag (Image|Photometric)\w+ is missing"):
        read_film(path, "ap", 12)
