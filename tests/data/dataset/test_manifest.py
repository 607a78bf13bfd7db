"""The manifest of a data folder, and tables beside it."""

import pytest

from tests.data.cases import edit_manifest, write_dataset
from tests.data.hostile_folders import try_manifests, try_tables
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.manifest import identity_of
from xctrs_tf.errors import UserError


@pytest.fixture
def folder(tmp_path):
    return write_dataset(tmp_path / "set")


def test_a_phantom_is_told_by_its_number_too():
    def told(image, file, source="phantom"):
        record = {"image_sha256": image, "source_file": file, "source": source}
        return identity_of({**record, "source_sha256": f"files of {image}"})

    coarse, fine = (told(image, "phantom seed 7") for image in ("coarse", "fine"))
    assert len(coarse) == 2 and len(coarse & fine) == 1
    assert not coarse & told("coarse of 8", "phantom seed 8")
    # Files of two folders may have one name.
    own = {"image", "files of image"}
    assert told("image", "1_ct.nii.gz", "nifti") == told("image", "1_ct.nii.gz") == own
    assert told(None, "phantom seed 7") == set()


def test_the_same_files_with_another_header_are_the_same_patient():
    corrected, plain = (
        identity_of({"image_sha256": image, "source": "nifti", "source_sha256": "files"})
        for image in ("corrected", "plain")
    )
    assert corrected & plain == {"files"}


def test_damaged_manifests_are_read_or_refused_in_words(tmp_path):
    assert 0 < try_manifests(tmp_path, seed=0, count=40) < 80


def test_random_tables_are_read_or_refused_in_words(tmp_path):
    assert 0 < try_tables(tmp_path, seed=0, count=60) < 60


@pytest.mark.soak
def test_thousands_of_manifests_are_read_or_refused_in_words(tmp_path):
    assert 3000 < try_manifests(tmp_path, seed=1, count=3000) < 6000


@pytest.mark.soak
def test_thousands_of_tables_are_read_or_refused_in_words(tmp_path):
    assert 1000 < try_tables(tmp_path, seed=1, count=5000) < 5000


def test_a_folder_without_a_manifest(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match=r"no prepared data folder .*experiments\.prepare"):
            open_dataset(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "unreadable"),
        ("[]", "not of format xctrs-dataset/1"),
        ('{"format": "xctrs-dataset/2"}', "not of format xctrs-dataset/1"),
        ('{"format": "xctrs-dataset/1", "version": "0", "seed": 0, "folds": []}', "lacks"),
    ],
)
def test_a_wrong_manifest(folder, text, message):
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"manifest.json: {message}"):
        open_dataset(folder)


RECORDS = [
    ({"id": "../../p7"}, "id '../../p7': no plain file name"),
    ({"id": "/etc/p7"}, "id '/etc/p7': no plain file name"),
    ({"id": 7}, "id 7: no plain file name"),
    ({"id": "p1"}, "id 'p1' stands twice"),
    ({"id": "P1"}, "id 'P1' stands twice"),
    ({"source_file": "../../scan.nii"}, "patient 'p7': source_file '../../scan.nii' leads else"),
    ({"source_file": "/etc/passwd"}, "patient 'p7': source_file '/etc/passwd' leads elsewhere"),
    ({"licence": ["MIT"]}, r"patient 'p7': licence \['MIT'\]"),
    ({"spacing_mm": 0}, "patient 'p7': spacing_mm 0"),
    ({"spacing_mm": float("nan")}, "patient 'p7': spacing_mm nan"),
    ({"spacing_mm": float("inf")}, "patient 'p7': spacing_mm inf"),
    ({"spacing_mm": "2"}, "patient 'p7': spacing_mm '2'"),
    ({"spacing_mm": True}, "patient 'p7': spacing_mm True"),
    ({"origin_mm": [0, 1]}, r"patient 'p7': origin_mm \[0, 1\]"),
    ({"origin_mm": [0, 1, float("nan")]}, "patient 'p7': origin_mm"),
    ({"sha256": None}, "patient 'p7': no sha256"),
    ({"earlier_sha256": "77"}, "patient 'p7': earlier_sha256 '77'"),
    ({"earlier_sha256": [7]}, r"patient 'p7': earlier_sha256 '\[7\]'"),
]


@pytest.mark.parametrize(("change", "message"), RECORDS)
def test_records_that_no_patient_has_are_refused(folder, change, message):
    edit_manifest(folder, lambda manifest: manifest["patients"][7].update(change))
    with pytest.raises(UserError, match=rf"manifest\.json: {message}.*experiments\.prepare again"):
        open_dataset(folder)


def in_training(manifest):
    manifest["folds"][0].remove("p0")


def in_two_folds(manifest):
    manifest["folds"][1].append("p0")


def validated_by_tests(manifest):
    manifest["validation"][2] = [manifest["folds"][2][0]]


def nobody_validates(manifest):
    manifest["validation"][2] = ["nobody"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (in_training, "patient 'p0' is not in one fold exactly"),
        (in_two_folds, "patient 'p0' is not in one fold exactly"),
        (
            validated_by_tests,
            "fold 2: 'p2' validates, but is no patient or one of the test patients",
        ),
        (nobody_validates, "fold 2: 'nobody' validates, but is no patient"),
        (lambda manifest: manifest["folds"].pop(), "folds or validation are no lists of ids"),
        (lambda manifest: manifest.update(folds=7), "folds or validation are no lists of ids"),
        (lambda manifest: manifest.update(patients={"p0": 1}), "patients is no list"),
        (lambda manifest: manifest.update(patients=["p0"]), "a patient is no object"),
        (lambda manifest: manifest.update(projection=None), "projection is no geometry"),
        (lambda manifest: manifest.update(projection={"kind": "fan"}), "projection: needs"),
        (lambda manifest: manifest.update(rejected=["p0"]), "rejected is no list of ids"),
        (lambda manifest: manifest.update(size=0), "size 0"),
        (lambda manifest: manifest.update(size="6"), "size '6'"),
    ],
)
def test_folds_that_mix_patients_are_refused(folder, change, message):
    edit_manifest(folder, change)
    with pytest.raises(UserError, match=rf"manifest\.json: {message}"):
        open_dataset(folder)
