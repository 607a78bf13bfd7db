import functools

import numpy as np
import pytest
import SimpleITK as sitk

import xctrs_tf
from tests.ct_segmentation.painted_necks import (
    OBLIQUE,
    ORIGIN_MM,
    RECORD,
    SPACING_MM,
    PaintedNetwork,
    find_painted,
    paint,
    painted_labels,
    read_paint,
    write_neck,
)
from xctrs_tf.ct_segmentation import segmenter as module
from xctrs_tf.ct_segmentation.findings import UNCERTAIN, NoCervicalSpine
from xctrs_tf.ct_segmentation.scan import read_scan
from xctrs_tf.ct_segmentation.segmenter import Segmenter, load_segmenter
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VERTEBRAE

LABELS = painted_labels()


@pytest.fixture
def segmenter(monkeypatch):
    """A segmenter whose network reads the painted numbers."""
    monkeypatch.setattr(module, "find_vertebrae", find_painted)
    # To draw one takes a second.
    monkeypatch.setattr(
        "xctrs_tf.ct_segmentation.output.ct_picture.write_picture",
        lambda path, *rest: path.touch(),
    )
    return Segmenter(PaintedNetwork())


def neck_volume(hu=None):
    hu = paint(LABELS) if hu is None else hu
    return Volume(hu, (SPACING_MM,) * 3, ORIGIN_MM)


def share_right(labels, expected):
    """Return the Dice coefficient of all vertebrae together, each with its own label."""
    both = ((labels == expected) & (expected > 0)).sum()
    return 2 * both / ((labels > 0).sum() + (expected > 0).sum())


@pytest.mark.parametrize("kind", ["path", "text", "list", "scan", "volume"])
def test_a_scan_is_taken_in_every_form(segmenter, tmp_path, kind):
    path = write_neck(tmp_path / "neck.nii.gz")
    forms = {
        "path": lambda: path,
        "text": lambda: str(path),
        "list": lambda: [path],
        "scan": lambda: read_scan(path),
        "volume": neck_volume,
    }
    result = segmenter(forms[kind]())
    assert result.scan.name == ("CT" if kind == "volume" else str(path))
    assert result.labels.dtype == np.uint8
    np.testing.assert_array_equal(result.labels, LABELS)
    assert [vertebra.name for vertebra in result.findings.vertebrae] == list(VERTEBRAE)
    assert (result.model, result.date[:2]) == (RECORD, "20")


def test_labels_of_an_oblique_file_are_on_its_own_voxels(segmenter, tmp_path):
    path = write_neck(tmp_path / "neck.nrrd", direction=OBLIQUE)
    result = segmenter(path)
    assert result.labels.shape == result.scan.hu.shape
    # Numbers between those of bone and soft tissue are those of other vertebrae.
    assert share_right(result.labels, read_paint(result.scan.hu)) > 0.6
    result.save(tmp_path / "out")
    labels = sitk.ReadImage(str(tmp_path / "out" / "segmentation.nii.gz"))
    image = sitk.ReadImage(str(path))
    assert labels.GetSize() == image.GetSize()
    np.testing.assert_allclose(labels.GetDirection(), image.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(labels.GetOrigin(), image.GetOrigin(), atol=1e-3)


def test_parts_are_stitched(segmenter, tmp_path):
    hu = paint(LABELS)
    upper_mm = (*ORIGIN_MM[:2], ORIGIN_MM[2] + 26 * SPACING_MM)
    parts = [
        write_neck(
            tmp_path / "upper.nii.gz",
            np.ascontiguousarray(hu[:, :, 26:]),
            None,
            (2.5,) * 3,
            upper_mm,
        ),
        write_neck(tmp_path / "lower.nii.gz", np.ascontiguousarray(hu[:, :, :30])),
    ]
    result = segmenter(parts)
    np.testing.assert_array_equal(result.labels, LABELS)
    assert all(part.name in result.scan.name for part in parts)


def test_parts_may_be_volumes_that_do_not_fit(segmenter):
    other = Volume(paint(LABELS), (3.0,) * 3, ORIGIN_MM)
    with pytest.raises(UserError):
        segmenter([neck_volume(), other])


@pytest.mark.parametrize("ct", [5, None, np.zeros((4, 4, 4))], ids=["number", "none", "array"])
def test_anything_else_is_a_mistake_in_the_program(segmenter, ct):
    with pytest.raises(TypeError, match="give a path, a Scan, a Volume or a list"):
        segmenter(ct)


def test_an_empty_list_is_refused(segmenter):
    with pytest.raises(UserError, match="an empty list"):
        segmenter([])


def test_a_scan_without_a_neck_is_refused(segmenter):
    with pytest.raises(NoCervicalSpine, match=r"^CT: no cervical spine found"):
        segmenter(neck_volume(np.full(LABELS.shape, 40, np.int16)))


def test_progress_is_shown_where_it_is_asked_for(segmenter):
    shown = []

    class Bar:
        def __init__(self, items=None, description=None, **options):
            shown.append(description)
            self._items = items

        def __iter__(self):
            return iter(self._items)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return False

        def update(self, count=1):
            pass

        def close(self):
            pass

    segmenter(neck_volume(), progress=Bar)
    assert shown


def test_what_it_is_in_a_line(segmenter, monkeypatch):
    result = segmenter(neck_volume())
    assert repr(result) == ("CTSegmentation(CT: 7 vertebrae, C1 to C7, anchored at C1/C2, certain)")
    assert repr(segmenter) == "Segmenter(painted: C1 to C7 at 2.5 mm)"
    monkeypatch.setattr(module, "find_vertebrae", functools.partial(find_painted, levels=UNCERTAIN))
    one = paint(np.where(LABELS == 4, LABELS, 0).astype(np.uint8))
    assert repr(segmenter(neck_volume(one))) == (
        "CTSegmentation(CT: 1 vertebra, V1, levels uncertain, to be checked)"
    )


def test_saving_refuses_a_folder_in_use_and_one_of_other_files(segmenter, tmp_path):
    result = segmenter(neck_volume())
    result.save(tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(UserError, match="holds other files"):
        result.save(tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"):
        result.save(tmp_path / "file" / "out")


def test_the_package_offers_it(monkeypatch):
    monkeypatch.setattr(
        module, "load_network", lambda model: PaintedNetwork() if model == "M" else None
    )
    assert xctrs_tf.load_segmenter is load_segmenter
    assert "load_segmenter" in xctrs_tf.__all__
    assert load_segmenter("M").record == RECORD
