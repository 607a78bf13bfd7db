import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.ct_segmentation.fake_segmenter import RECORD, FakeSegmenter, unsure, vertebra
from tests.data.dicoms import write_series
from tests.data.layouts import openkbp_neck, write_openkbp
from tests.data.necks import make_neck, write_neck
from tests.data.niftis import lps_to_ras, write_nifti
from xctrs_tf.ct_segmentation import model_labels, segmenter
from xctrs_tf.ct_segmentation.findings import NoCervicalSpine
from xctrs_tf.ct_segmentation.model_labels import ModelLabelledSource
from xctrs_tf.data.dataset.header_correction import CorrectedSource
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources.collections import AUTO, open_collections
from xctrs_tf.errors import UserError


@pytest.fixture
def load(monkeypatch):
    """Return a function that puts a `FakeSegmenter` in the place of the networks."""

    def put(fake):
        loaded = []

        def load_segmenter(model):
            loaded.append(model)
            return fake

        monkeypatch.setattr(segmenter, "load_segmenter", load_segmenter)
        model_labels._segmenter.cache_clear()
        return loaded

    yield put
    model_labels._segmenter.cache_clear()


def write_ct(folder, name, seed=0):
    """Write a neck without its labels."""
    write_neck(folder, name, seed)
    (folder / f"{name}_seg.nii.gz").unlink()


def test_each_source_without_labels_gets_those_of_the_network(tmp_path, load):
    load(FakeSegmenter())
    for name in ("nifti", "dicom"):
        (tmp_path / name).mkdir()
    write_ct(tmp_path / "nifti", "a")
    write_series(tmp_path / "dicom" / "b", make_neck()[0])
    write_openkbp(tmp_path / "openkbp" / "pt_1", openkbp_neck()[0])
    for name in ("nifti", "dicom", "openkbp"):
        plain = open_collections([name], [tmp_path / name], AUTO)
        source = ModelLabelledSource(plain, "NETWORK")
        (patient,) = source.ids
        (scan,) = source.scans(patient)
        assert plain.load(scan).labels is None
        raw, record = source.load(scan), source.record(scan)
        np.testing.assert_array_equal(raw.labels.array.max(axis=(0, 1)) > 0, bone(raw.ct))
        assert (raw.labels.spacing_mm, raw.labels.origin_mm) == (
            raw.ct.spacing_mm,
            raw.ct.origin_mm,
        )
        assert sorted(np.unique(raw.labels.array)) == list(range(8))
        assert raw.notes["label_levels"] == "anchored at C1/C2"
        assert raw.notes["label_confidence"] == dict.fromkeys(
            ("C1", "C2", "C3", "C4", "C5", "C6", "C7"), 0.9
        )
        assert record == {
            **plain.record(scan),
            "labels": {"made_by": "model", "name": "fake64", "weights_sha256": "ab" * 32},
        }
    assert source.labels == {"made_by": "model", "model": RECORD}


def bone(ct):
    """Return which planes of a neck hold bone."""
    return ((ct.array > 600) & (ct.array <= 607)).any(axis=(0, 1))


def test_a_coarse_scan_keeps_the_finer_labels_of_the_network(tmp_path, load):
    write_ct(tmp_path, "a")
    plain = open_collections(["nifti"], [tmp_path], AUTO)
    spacing_mm = plain.load("a").ct.spacing_mm
    for network_mm, factor in ((max(spacing_mm), 1), (0.9 * max(spacing_mm), 2)):
        load(FakeSegmenter(spacing_mm=network_mm))
        raw = ModelLabelledSource(plain, "NETWORK").load("a")
        assert raw.labels.array.shape == tuple(factor * n for n in raw.ct.array.shape)
        np.testing.assert_allclose(raw.labels.spacing_mm, np.array(spacing_mm) / factor)


def test_an_oblique_ct_is_labelled_on_the_voxels_of_its_file(tmp_path, load):
    fake = FakeSegmenter()
    load(fake)
    ct = make_neck()[0]
    tilt = Rotation.from_euler("x", 8, degrees=True).as_matrix()
    affine = lps_to_ras(ct.spacing_mm, ct.origin_mm, tilt)
    write_nifti(tmp_path / "a_ct.nii.gz", ct.array, affine)
    raw = ModelLabelledSource(open_collections(["nifti"], [tmp_path], AUTO), "NETWORK").load("a")
    np.testing.assert_array_equal(fake.scans[0].hu, ct.array)
    for direction in (fake.scans[0].grid.direction, raw.ct.direction, raw.labels.direction):
        np.testing.assert_allclose(direction, tilt, atol=1e-6)


def test_the_crop_is_that_of_the_true_labels_where_the_network_is_right(tmp_path, load):
    load(FakeSegmenter())
    write_neck(tmp_path, "a")
    with_labels = open_collections(["nifti"], [tmp_path])
    source = ModelLabelledSource(open_collections(["nifti"], [tmp_path], AUTO), "NETWORK")
    made, reasons = crop_patient(source, "a", 32, 3.0)
    true, _ = crop_patient(with_labels, "a", 32, 3.0)
    assert reasons == []
    np.testing.assert_array_equal(made.segmentation.array, true.segmentation.array)
    np.testing.assert_array_equal(made.ct.array, true.ct.array)
    assert made.record["source_sha256"] != true.record["source_sha256"]
    assert "labels" not in true.record


def no_neck(fields, scan):
    """Find nothing."""
    raise NoCervicalSpine(f"{scan.name}: no cervical spine found")


def without_c7(fields, scan):
    """Miss C7."""
    del scan
    fields["vertebrae"], fields["missing"] = fields["vertebrae"][:-1], ("C7",)


def with_a_problem(fields, scan):
    """Find something strange at C2."""
    del scan
    strange = vertebra(2, ("cut by the border of the scan.",))
    fields["vertebrae"] = (fields["vertebrae"][0], strange, *fields["vertebrae"][2:])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unsure, "unsure of its labels: levels uncertain; C3 and C4 are 40 mm apart"),
        (without_c7, "unsure of its labels: C7 not found"),
        (with_a_problem, "unsure of its labels: C2: cut by the border of the scan"),
        (no_neck, "a: no cervical spine found"),
    ],
)
def test_a_scan_is_dropped_with_the_reason_of_the_network(tmp_path, load, spoil, reason):
    load(FakeSegmenter(spoil))
    write_ct(tmp_path, "a")
    source = ModelLabelledSource(open_collections(["nifti"], [tmp_path], AUTO), "NETWORK")
    cropped, reasons = crop_patient(source, "a", 32, 3.0)
    assert cropped is None
    assert len(reasons) == 1 and reasons[0].startswith("a: ") and reasons[0].endswith(reason)


def test_the_header_is_corrected_before_the_network_looks(tmp_path, load):
    fake = FakeSegmenter()
    load(fake)
    write_ct(tmp_path, "a")
    plain = open_collections(["nifti"], [tmp_path], AUTO)
    source = ModelLabelledSource(CorrectedSource(plain, {"a": "rotate180y"}), "NETWORK")
    (scan,) = source.scans("a")
    raw = source.load(scan)
    np.testing.assert_array_equal(fake.scans[0].hu, plain.load("a").ct.array[::-1, :, ::-1])
    np.testing.assert_array_equal(raw.ct.array, fake.scans[0].hu)
    assert source.record(scan)["header"] == "rotate180y"


def test_a_process_loads_the_network_once_and_notices_another(tmp_path, load):
    loaded = load(FakeSegmenter())
    for name in "ab":
        write_ct(tmp_path, name)
    source = ModelLabelledSource(open_collections(["nifti"], [tmp_path], AUTO), "NETWORK")
    # A worker gets a copy for each patient.
    content = pickle.dumps(source)
    assert len(content) < 10_000
    for name in "ab":
        pickle.loads(content).load(name)
    assert loaded == ["NETWORK"]
    load(FakeSegmenter(record={**RECORD, "weights_sha256": "cd" * 32}))
    with pytest.raises(UserError, match="--label_model=NETWORK: changed meanwhile"):
        pickle.loads(content).load("a")
