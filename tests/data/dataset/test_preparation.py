import numpy as np
import pytest

from tests.data.cases import CONFIGURATION
from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck, write_neck
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.data.dataset.preparation import crop_patient, make_case, prepare_cohort
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry
from xctrs_tf.data.sources.collections import open_collections
from xctrs_tf.data.sources.raw_patient import RawPatient
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError


class Source:
    """Source of synthetic necks: one scan for each function, which damages its labels."""

    def __init__(self, *spoilers):
        self.spoilers = spoilers or (lambda ct, labels: None,)

    def scans(self, patient):
        return [f"{patient}.{number}" for number in range(len(self.spoilers))]

    def record(self, scan):
        return {"source": "test", "source_file": f"{scan}.file"}

    def load(self, scan):
        ct, labels = make_neck()
        self.spoilers[int(scan.split(".")[1])](ct.array, labels.array)
        return RawPatient(scan, ct, labels, {"note": "seen"})


def without_c7(ct, labels):
    labels[labels == 7] = 0


def broken(ct, labels):
    raise RuntimeError("itk::ERROR:\n some words")


def test_the_films_are_line_integrals_of_the_cropped_ct():
    cropped, reasons = crop_patient(Source(), "a", 32, 3.0)
    case = make_case("a", cropped)
    assert (case.id, case.spacing_mm, reasons) == ("a", 3.0, [])
    hu = case.ct.astype(np.float64)
    mu = np.where(hu < 0, 0.0192 * (1 + hu / 1000), 0.0192 + 0.0381 * hu / 1000)
    np.testing.assert_allclose(case.ap, mu.sum(1) * 3.0, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(case.la, mu.sum(0) * 3.0, rtol=1e-4, atol=1e-5)
    assert case.segmentation is cropped.segmentation.array
    assert case.origin_mm == cropped.ct.origin_mm
    assert case.ap.dtype == case.la.dtype == np.float32


def test_the_record_describes_the_crop():
    cropped, _ = crop_patient(Source(), "a", 32, 3.0)
    record = cropped.record
    assert (record["source_file"], record["note"]) == ("a.0.file", "seen")
    assert record["scan_size"] == [40, 52, 46]
    assert record["scan_spacing_mm"] == list(SPACING_MM)
    low, high = np.array(record["crop_box_mm"])
    np.testing.assert_allclose(high - low, 96.0)
    # The box of the labels: voxels 6..26, 9..32, 5..38 along x, y, z.
    centre = np.array(ORIGIN_MM) + np.array([16.0, 20.5, 21.5]) * SPACING_MM
    np.testing.assert_allclose((low + high) / 2, centre)


def test_the_image_hash_depends_on_the_voxel_values_alone():
    def hash_of(spoil):
        return crop_patient(Source(spoil), "a", 32, 3.0)[0].record["image_sha256"]

    def other_labels(ct, labels):
        labels[labels == 3] = 3
        labels[13, 19, 6] = 0

    def other_voxel(ct, labels):
        ct[0, 0, 0] += 1

    same = hash_of(lambda ct, labels: None)
    assert hash_of(other_labels) == same
    assert hash_of(other_voxel) != same


def test_bad_labels_are_refused_with_the_file_and_the_reason():
    assert crop_patient(Source(without_c7), "a", 32, 3.0) == (
        None,
        ["a.0.file: label C7 missing"],
    )


def test_the_first_usable_scan_of_a_patient_is_taken():
    cropped, reasons = crop_patient(Source(without_c7, lambda *_: None), "a", 32, 3.0)
    assert cropped.record["source_file"] == "a.1.file"
    assert reasons == ["a.0.file: label C7 missing"]


def test_an_unforeseen_error_rejects_one_scan():
    cropped, reasons = crop_patient(Source(broken, lambda *_: None), "a", 32, 3.0)
    assert cropped.record["source_file"] == "a.1.file"
    assert reasons == ["a: cannot be read (itk::ERROR: some words)"]


def test_labels_on_a_grid_of_their_own_must_lie_in_the_scan():
    class Cut(Source):
        """Source of a scan without its first voxels along x, with the labels of all."""

        cut = 6

        def load(self, scan):
            raw = super().load(scan)
            x, y, z = raw.ct.origin_mm
            ct = Volume(raw.ct.array[self.cut :], SPACING_MM, (x + self.cut * 2.0, y, z))
            return RawPatient(scan, ct, raw.labels)

    # The box of the labels begins at voxel 6.
    assert crop_patient(Cut(), "a", 32, 3.0)[1] == []

    class Outside(Cut):
        cut = 7

    assert crop_patient(Outside(), "a", 32, 3.0) == (
        None,
        ["a.0.file: C1 to C7 reach beyond the scan"],
    )


class WithShoulders(Source):
    """Source of a neck with 30 mm of air behind it, then 15 mm of the CT number ``hu``."""

    def __init__(self, hu):
        super().__init__()
        self.hu = hu

    def load(self, scan):
        raw = super().load(scan)
        array = np.pad(raw.ct.array, ((0, 0), (0, 30), (0, 0)), constant_values=-1000)
        array[:, -10:] = self.hu
        return RawPatient(scan, Volume(array, SPACING_MM, ORIGIN_MM), raw.labels)


@pytest.mark.parametrize(("field_of_view", "seen"), [("crop", 0.0), ("full", 15 * 0.0573)])
def test_only_a_full_field_of_view_sees_what_lies_behind_the_crop(field_of_view, seen):
    simulation = FilmSimulation(ProjectionGeometry(field_of_view=field_of_view))
    air, bone = (
        make_case("a", crop_patient(WithShoulders(hu), "a", 32, 3.0, simulation)[0], simulation)
        for hu in (-1000, 1000)
    )
    np.testing.assert_array_equal(air.ct, bone.ct)
    np.testing.assert_allclose((bone.ap - air.ap)[5:28, 4:28], seen, atol=1e-3)
    assert isinstance(bone.ap, np.ndarray) and bone.ap.dtype == np.float32


@pytest.mark.parametrize("field_of_view", ["crop", "full"])
def test_the_kept_scan_continues_the_crop(field_of_view):
    simulation = FilmSimulation(ProjectionGeometry(field_of_view=field_of_view))
    cropped, _ = crop_patient(WithShoulders(300), "a", 32, 3.0, simulation, keep_scan=True)
    case = make_case("a", cropped, simulation)
    assert cropped.record["kept_scan_size"] == list(case.scan.shape)
    assert case.scan.dtype == np.int16 and max(case.scan_start) <= 0
    inside = tuple(slice(-start, 32 - start) for start in case.scan_start)
    np.testing.assert_array_equal(case.scan[inside], case.ct)
    # The shoulders behind the crop, whose last voxels lie 42 to 44 crop voxels from the first.
    assert (case.scan[:, inside[1].stop :] > 250).any()
    # No further than the scan, a frame to the sides and a quarter of one above and below.
    raw = WithShoulders(300).load("a.0").ct
    low = np.array(case.origin_mm) + 3.0 * np.array(case.scan_start)
    high = low + 3.0 * (np.array(case.scan.shape) - 1)
    last = np.array(raw.origin_mm) + (np.array(raw.array.shape) - 1) * raw.spacing_mm
    frame = np.array(case.origin_mm), np.array(case.origin_mm) + 3.0 * 31
    assert np.all(low >= np.minimum(raw.origin_mm, frame[0]) - 3.0)
    assert np.all(high <= np.maximum(last, frame[1]) + 3.0)
    plain = make_case(
        "a", crop_patient(WithShoulders(300), "a", 32, 3.0, simulation)[0], simulation
    )
    assert plain.scan is None
    np.testing.assert_array_equal(plain.ct, case.ct)
    np.testing.assert_array_equal(plain.ap, case.ap)


@pytest.mark.parametrize("field_of_view", ["crop", "full"])
def test_the_record_holds_the_pose_of_the_patient(field_of_view):
    simulation = FilmSimulation(
        ProjectionGeometry(field_of_view=field_of_view), pose_rotation_deg=5, pose_translation_mm=4
    )
    plain, _ = crop_patient(Source(), "a", 32, 3.0)
    assert "projection" not in plain.record
    for patient in "ab":
        cropped, _ = crop_patient(Source(), patient, 32, 3.0, simulation)
        case = make_case(patient, cropped, simulation)
        geometry = ProjectionGeometry.from_json(cropped.record["projection"])
        assert geometry == simulation.geometry_of(patient)
        assert geometry.field_of_view == field_of_view
        # The CT does not change; the films follow the recorded geometry.
        np.testing.assert_array_equal(case.ct, plain.ct.array)
        expected = make_case(
            patient,
            crop_patient(Source(), patient, 32, 3.0, FilmSimulation(geometry))[0],
            FilmSimulation(geometry),
        )
        np.testing.assert_array_equal(case.ap, expected.ap)
        np.testing.assert_array_equal(case.la, expected.la)
        assert np.abs(case.ap - make_case(patient, plain).ap).max() > 0.1


@pytest.mark.parametrize("scans", [1, 3])
def test_every_rejected_scan_has_a_reason(scans):
    cropped, reasons = crop_patient(Source(*[without_c7] * scans), "a", 32, 3.0)
    assert cropped is None
    assert reasons == [f"a.{number}.file: label C7 missing" for number in range(scans)]


def test_the_message_of_a_user_error_is_kept_as_it_is():
    class Missing(Source):
        def record(self, scan):
            raise UserError("a_ct.nii.gz: no such file")

    assert crop_patient(Missing(), "a", 32, 3.0) == (None, ["a_ct.nii.gz: no such file"])


def films_of(folder, out, simulation, patients="a"):
    """Prepare patients with a simulation; return the films of each, ``[view, ...]``."""
    writer = DatasetWriter(out, {**CONFIGURATION, "size": 32, "projection": simulation.to_json()})
    source = open_collections(["nifti"], [folder])
    done, rejected = prepare_cohort(source, list(patients), writer, 32, 3.0, simulation)
    writer.finalise([done], rejected)
    cases = [open_dataset(out).load(patient) for patient in done]
    return {case.id: np.stack([case.ap, case.la]) for case in cases}


def test_the_films_follow_the_geometry(tmp_path):
    (tmp_path / "in").mkdir()
    write_neck(tmp_path / "in", "a")
    cone = FilmSimulation(ProjectionGeometry("cone", "full", 1500.0, 1800.0))
    films = [
        films_of(tmp_path / "in", tmp_path / name, simulation)["a"][0]
        for name, simulation in (("cone", cone), ("parallel", FilmSimulation()))
    ]
    assert 0.9 < np.corrcoef(films[0].ravel(), films[1].ravel())[0, 1] < 0.9999


def test_pose_and_noise_of_a_patient_do_not_depend_on_the_others(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        write_neck(tmp_path / "in", name, "ab".index(name))
    simulation = FilmSimulation(seed=3, pose_rotation_deg=4, photons=1000)
    both = films_of(tmp_path / "in", tmp_path / "both", simulation, "ab")
    alone = films_of(tmp_path / "in", tmp_path / "alone", simulation, "b")
    plain = films_of(tmp_path / "in", tmp_path / "plain", FilmSimulation(), "b")
    np.testing.assert_array_equal(both["b"], alone["b"])
    assert np.all((alone["b"] != plain["b"]).mean((1, 2)) > 0.5)
    patients = open_dataset(tmp_path / "both").manifest["patients"]
    turns = [record["projection"]["rotation_deg"] for record in patients]
    assert turns[0] != turns[1]
