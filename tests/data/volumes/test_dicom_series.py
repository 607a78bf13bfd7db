import re

import numpy as np
import pydicom
import pytest

from tests.data.dicoms import write_series
from xctrs_tf.data.volumes.dicom_series import read_series
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

SPACING_MM = (0.75, 0.75, 2.5)
ORIGIN_MM = (-40.25, 12.5, 900.5)


def make_volume(shape=(6, 7, 5)):
    array = np.random.default_rng(0).integers(-1000, 1500, shape, np.int16)
    return Volume(array, SPACING_MM, ORIGIN_MM)


def test_a_series_comes_back_in_hu_and_in_its_place(tmp_path):
    volume = make_volume()
    write_series(tmp_path, volume)
    read = read_series(tmp_path)
    np.testing.assert_array_equal(read.array, volume.array)
    np.testing.assert_allclose(read.spacing_mm, SPACING_MM)
    np.testing.assert_allclose(read.origin_mm, ORIGIN_MM)


def test_a_prone_patient_is_turned_by_the_headers(tmp_path):
    # Columns run to the right and rows to the front: half a turn about z.
    volume = make_volume()
    write_series(tmp_path, volume, direction=[[-1, 0, 0], [0, -1, 0], [0, 0, 1]])
    read = read_series(tmp_path)
    np.testing.assert_array_equal(read.array, volume.array[::-1, ::-1])
    first = [ORIGIN_MM[0] - 5 * 0.75, ORIGIN_MM[1] - 6 * 0.75, ORIGIN_MM[2]]
    np.testing.assert_allclose(read.origin_mm, first)


def test_sagittal_slices_are_turned_by_the_headers(tmp_path):
    # Columns run to the back, rows downwards, slices to the right.
    volume = make_volume()
    write_series(tmp_path, volume, direction=[[0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    expected = volume.array.transpose(2, 0, 1)[::-1, :, ::-1]
    read = read_series(tmp_path)
    np.testing.assert_array_equal(read.array, expected)
    np.testing.assert_allclose(read.spacing_mm, (2.5, 0.75, 0.75))


def test_slices_go_by_their_positions_and_not_by_their_names(tmp_path):
    volume = make_volume()
    write_series(tmp_path, volume)
    for name, file in zip("dbeac", sorted(tmp_path.iterdir()), strict=True):
        file.rename(tmp_path / f"{name}.dcm")
    np.testing.assert_array_equal(read_series(tmp_path).array, volume.array)


def test_files_without_a_suffix_and_an_index_among_them(tmp_path):
    write_series(tmp_path, make_volume())
    for file in list(tmp_path.iterdir()):
        file.rename(file.with_suffix(""))
    (tmp_path / "dicomdir").write_text("index", encoding="utf-8")
    (tmp_path / ".hidden").write_text("junk", encoding="utf-8")
    assert read_series(tmp_path).array.shape == (6, 7, 5)


def test_notes_beside_files_with_a_suffix(tmp_path):
    write_series(tmp_path, make_volume())
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert read_series(tmp_path).array.shape == (6, 7, 5)


@pytest.mark.parametrize(
    ("gone", "message"), [((2,), "1 slices missing"), ((1, 2), "2 slices missing")]
)
def test_missing_slices(tmp_path, gone, message):
    write_series(tmp_path, make_volume((6, 7, 9)), change=lambda number, _: number not in gone)
    with pytest.raises(UserError, match=f"{tmp_path.name}: {message}; fetch the series again"):
        read_series(tmp_path)


def test_two_series_in_one_folder(tmp_path):
    write_series(tmp_path, make_volume(), series="1")
    write_series(tmp_path, make_volume(), series="2")
    with pytest.raises(UserError, match="2 series; keep each in a folder of its own"):
        read_series(tmp_path)


def test_one_slice_stands_for_its_series_among_others(tmp_path):
    write_series(tmp_path, make_volume(), series="1")
    # The first UID is the beginning of this one.
    write_series(tmp_path, make_volume(), series="12")
    first = min(tmp_path.iterdir())
    # Contours, too, hold the UID of the series that they were drawn on.
    contours = pydicom.dcmread(first)
    contours.Modality = "RTSTRUCT"
    contours.save_as(tmp_path / "rtstruct.dcm")
    np.testing.assert_array_equal(read_series(first).array, make_volume().array)


def test_one_series_twice(tmp_path):
    write_series(tmp_path, make_volume())
    file = next(tmp_path.iterdir())
    file.with_name("copy.dcm").write_bytes(file.read_bytes())
    both = rf"two slices at one position, (copy.dcm and {file.name}|{file.name} and copy.dcm); keep"
    with pytest.raises(UserError, match=both):
        read_series(tmp_path)


def moved(number, tags):
    x, y, z = map(float, tags["0020|0032"].split("\\"))
    tags["0020|0032"] = f"{x}\\{y + number}\\{z}"


def uneven(number, tags):
    x, y, z = map(float, tags["0020|0032"].split("\\"))
    tags["0020|0032"] = f"{x}\\{y}\\{z + (0.4 if number == 2 else 0)}"


def tilted(number, tags):
    if number == 3:
        tags["0020|0037"] = "1\\0\\0\\0\\0.8\\0.6"


def of_modality(number, tags):
    tags["0008|0060"] = "MR"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (moved, "its slices are sheared"),
        (uneven, "slices unevenly spaced"),
        (tilted, r"1-002\.dcm: not parallel to the other slices"),
        (of_modality, r"\.dcm: a slice of modality MR; CT is needed"),
    ],
)
def test_slices_that_make_no_grid(tmp_path, change, message):
    write_series(tmp_path, make_volume(), change=change)
    with pytest.raises(UserError, match=message):
        read_series(tmp_path)


def test_files_of_another_modality_beside_the_ct_are_left_out(tmp_path):
    volume = make_volume()
    write_series(tmp_path, volume)
    # The first file and the last are none of the CT.
    write_series(tmp_path, make_volume((4, 4, 2)), series="0", change=of_modality)
    write_series(tmp_path, make_volume((4, 4, 2)), series="2", change=of_modality)
    np.testing.assert_array_equal(read_series(tmp_path).array, volume.array)


def test_a_single_slice(tmp_path):
    write_series(tmp_path, make_volume(), change=lambda number, _: number == 0)
    with pytest.raises(UserError, match="a single slice; a volume is needed"):
        read_series(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(UserError, match=r"no DICOM files$"):
        read_series(tmp_path)


@pytest.mark.parametrize("others", [(), ("README.txt", "AUTORUN.INF")], ids=["alone", "as on a CD"])
def test_slices_in_a_folder_below_are_named(tmp_path, others):
    series = tmp_path / "DICOM" / "ST0" / "SE1"
    write_series(series, make_volume())
    (tmp_path / "DICOMDIR").write_bytes(b"index")
    for name in others:
        (tmp_path / name).write_bytes(b"Start the viewer.")
    with pytest.raises(UserError, match=re.escape(f"no DICOM files; {series} has some, name that")):
        read_series(tmp_path)


@pytest.mark.parametrize("length", [0, 100, 300])
def test_a_slice_whose_header_is_cut(tmp_path, length):
    write_series(tmp_path, make_volume())
    file = tmp_path / "1-003.dcm"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(UserError, match=r"1-003\.dcm: damaged, or not a DICOM slice"):
        read_series(tmp_path)


def test_a_slice_whose_pixels_are_cut(tmp_path):
    write_series(tmp_path, make_volume((64, 64, 5)))
    file = tmp_path / "1-003.dcm"
    file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(UserError, match=r"1-003\.dcm: ends before its last pixel"):
        read_series(tmp_path)


def test_slices_of_two_sizes(tmp_path):
    write_series(tmp_path, make_volume())
    bigger = make_volume((8, 9, 5))
    write_series(tmp_path / "other", bigger)
    (tmp_path / "other" / "1-003.dcm").replace(tmp_path / "1-003.dcm")
    for file in (tmp_path / "other").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"1-003\.dcm: 9 x 8 pixels, where .*1-001\.dcm has 7 x 6"):
        read_series(tmp_path)


def test_a_pixel_spacing_of_zero(tmp_path):
    write_series(tmp_path, make_volume())
    file = tmp_path / "1-003.dcm"
    content = file.read_bytes()
    assert content.count(b".75\\.75") == 1
    file.write_bytes(content.replace(b".75\\.75", b"0.0\\0.0"))
    with pytest.raises(UserError, match=r"1-003\.dcm: PixelSpacing: a voxel size of 0 mm"):
        read_series(tmp_path)
