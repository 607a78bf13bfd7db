import json
import os
import re
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from tests.ct_segmentation.painted_necks import (
    DATE,
    OBLIQUE,
    ORIGIN_MM,
    RECORD,
    SHAPE,
    SPACING_MM,
    painted_labels,
    painted_segmentation,
)
from xctrs_tf.ct_segmentation.findings import UNCERTAIN
from xctrs_tf.ct_segmentation.output.segmentation_folder import (
    check_segmentation_output,
    segmentation_record,
    write_segmentation_folder,
)
from xctrs_tf.ct_segmentation.scan import Scan
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VERTEBRAE

TABLES = ["segmentation.ctbl", "segmentation.label"]
OTHERS = ["preview.png", "segmentation.json", "segmentation.nii.gz"]


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch):
    """Write an empty picture: to draw one takes a second."""
    monkeypatch.setattr(
        "xctrs_tf.ct_segmentation.output.ct_picture.write_picture",
        lambda path, *rest: path.touch(),
    )


def a_segmentation(levels="anchored at C1/C2", direction=None, **fields):
    """Return a painted segmentation whose scan can be written."""
    made = painted_segmentation(levels, direction, **fields)
    plain = made.scan
    scan = Scan(plain.name, plain.hu, plain.grid, plain.stored)
    return type(made)(scan, made.findings, made.labels, made.model, made.date)


def stl_triangles(path):
    content = path.read_bytes()
    (count,) = struct.unpack("<I", content[80:84])
    records = np.frombuffer(
        content[84:], np.dtype([("n", "<f4", 3), ("corners", "<f4", (3, 3)), ("a", "<u2")])
    )
    assert len(records) == count
    return records["corners"].astype(float)


def volume_of(corners):
    a, b, c = np.moveaxis(corners - corners.reshape(-1, 3).mean(axis=0), 1, 0)
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


# Indices run to the right, forwards and down in the second file; the third is oblique, and
# its first index runs along z.
@pytest.mark.parametrize(
    "direction",
    [np.eye(3), np.diag([-1.0, 1.0, -1.0]), OBLIQUE[:, [2, 0, 1]]],
    ids=["upright", "turned", "oblique"],
)
def test_labels_lie_on_the_voxels_of_the_file(tmp_path, direction):
    segmentation = a_segmentation(direction=direction)
    write_segmentation_folder(segmentation, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted([*(f"{name}.stl" for name in VERTEBRAE), *TABLES, *OTHERS])
    image = sitk.ReadImage(str(tmp_path / "out" / "segmentation.nii.gz"))
    assert image.GetSize() == SHAPE
    np.testing.assert_allclose(image.GetSpacing(), (SPACING_MM,) * 3, rtol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), ORIGIN_MM, atol=1e-3)
    np.testing.assert_allclose(np.reshape(image.GetDirection(), (3, 3)), direction, atol=1e-5)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, painted_labels())


@pytest.mark.parametrize("direction", [None, OBLIQUE], ids=["upright", "oblique"])
def test_surfaces_lie_where_the_labels_lie_and_hold_their_volume(tmp_path, direction):
    segmentation = a_segmentation(direction=direction)
    write_segmentation_folder(segmentation, tmp_path / "out")
    for vertebra in segmentation.findings.vertebrae:
        corners = stl_triangles(tmp_path / "out" / f"{vertebra.name}.stl")
        assert volume_of(corners) == pytest.approx(vertebra.volume_mm3, rel=0.02)
        middle_mm = (corners.reshape(-1, 3).min(axis=0) + corners.reshape(-1, 3).max(axis=0)) / 2
        np.testing.assert_allclose(middle_mm, vertebra.centroid_mm, atol=0.5)


def test_the_record_tells_every_vertebra(tmp_path):
    segmentation = a_segmentation(problems=("C3 is small",), missing=())
    write_segmentation_folder(segmentation, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "segmentation.json").read_text(encoding="utf-8"))
    assert record == segmentation_record(segmentation)
    assert record["format"] == "xctrs-segmentation/1"
    assert record["notice"] == "Not a medical device; not for diagnosis."
    assert (record["model"], record["date"]) == (RECORD, DATE)
    assert record["scan"] == {
        "name": "neck.nii.gz",
        "voxels": list(SHAPE),
        "spacing_mm": [SPACING_MM] * 3,
    }
    assert record["labels"] == {str(number): f"C{number}" for number in range(1, 8)}
    assert (record["levels"], record["certain"]) == ("anchored at C1/C2", False)
    assert (record["problems"], record["missing"]) == (["C3 is small"], [])
    lowest = record["vertebrae"][-1]
    assert (lowest["name"], lowest["label"], lowest["likely_level"]) == ("C7", 7, "C7")
    # The box of C7 is of the voxels 9..24, 10..27 and 5..8.
    np.testing.assert_allclose(lowest["centroid_mm"], [1.25, 61.25, 316.25], atol=0.01)
    np.testing.assert_allclose(lowest["box"]["size_mm"], [40.0, 45.0, 10.0], atol=0.1)
    assert set(lowest["box"]) == {"centre_mm", "size_mm", "rotation_deg"}
    assert lowest["volume_mm3"] == 16 * 18 * 4 * SPACING_MM**3
    assert (lowest["confidence"], lowest["cut"], lowest["problems"]) == (0.9, False, [])


def test_uncertain_levels_get_other_names_and_numbers(tmp_path):
    segmentation = a_segmentation(UNCERTAIN)
    write_segmentation_folder(segmentation, tmp_path / "out")
    out = tmp_path / "out"
    surfaces = sorted(path.name for path in out.glob("*.stl"))
    assert surfaces == [f"V{number}.stl" for number in range(1, 8)]
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz")))
    assert set(np.unique(labels)) == {0, *range(101, 108)}
    record = json.loads((out / "segmentation.json").read_text(encoding="utf-8"))
    assert record["labels"] == {str(100 + number): f"V{number}" for number in range(1, 8)}
    assert [each["likely_level"] for each in record["vertebrae"]] == list(VERTEBRAE)
    snap = (out / "segmentation.label").read_text(encoding="utf-8")
    assert re.findall(r'^\s+(\d+) .*"(\w+)"$', snap, re.M)[0] == ("101", "V1")
    slicer = (out / "segmentation.ctbl").read_text(encoding="utf-8")
    assert re.findall(r"^(10\d) (V\d) ", slicer, re.M)[-1] == ("107", "V7")


def test_an_earlier_result_is_replaced_as_a_whole(tmp_path):
    write_segmentation_folder(a_segmentation(UNCERTAIN), tmp_path / "out")
    write_segmentation_folder(a_segmentation(), tmp_path / "out")
    assert not list((tmp_path / "out").glob("V*.stl"))
    assert len(list((tmp_path / "out").glob("C?.stl"))) == 7


@pytest.mark.parametrize("name", ["notes.txt", "C1.STL", "C1.stl"])
def test_a_folder_of_other_files_is_refused(tmp_path, name):
    # C1.stl alone, without segmentation.json, is not of this program.
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="holds other files"):
        write_segmentation_folder(a_segmentation(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_with_a_result_and_another_file_is_refused(tmp_path):
    write_segmentation_folder(a_segmentation(), tmp_path / "out")
    check_segmentation_output(tmp_path / "out")
    (tmp_path / "out" / "ct.nii.gz").touch()
    with pytest.raises(UserError, match="holds other files"):
        check_segmentation_output(tmp_path / "out")


def test_a_failure_leaves_the_earlier_result(tmp_path, monkeypatch):
    write_segmentation_folder(a_segmentation(UNCERTAIN), tmp_path / "out")

    def fail(path, *rest):
        raise OSError(28, os.strerror(28), str(path))

    monkeypatch.setattr("xctrs_tf.ct_segmentation.output.ct_picture.write_picture", fail)
    with pytest.raises(OSError, match="No space"):
        write_segmentation_folder(a_segmentation(), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "V1.stl").is_file()


@pytest.mark.parametrize(("private", "modes"), [(True, (0o700, 0o600)), (False, (0o755, 0o644))])
def test_the_files_are_the_users_alone_unless_shared(tmp_path, private, modes):
    before = os.umask(0o022)
    try:
        write_segmentation_folder(a_segmentation(), tmp_path / "out", private=private)
    finally:
        os.umask(before)
    files = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert ((tmp_path / "out").stat().st_mode & 0o777, files) == (modes[0], {modes[1]})
