import dataclasses
import gzip
import os
import pathlib
import unicodedata

import numpy as np
import pytest

from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck, write_neck
from xctrs_tf.data.sources import phantoms as phantom
from xctrs_tf.data.sources.dicom_studies import DicomSource
from xctrs_tf.data.sources.nifti import NiftiSource
from xctrs_tf.data.sources.phantoms import PhantomSource
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.errors import UserError


def test_a_folder_of_pairs_is_its_own_list_of_patients(tmp_path):
    for name in ("b", "a"):
        write_neck(tmp_path, name)
    source = NiftiSource(tmp_path)
    assert source.ids == ["a", "b"]
    raw = source.load("a")
    ct, labels = make_neck()
    np.testing.assert_array_equal(raw.ct.array, ct.array)
    np.testing.assert_array_equal(raw.labels.array, labels.array)
    assert raw.labels.array.dtype == np.uint8


def test_the_record_changes_with_the_file(tmp_path):
    write_neck(tmp_path, "a")
    source = NiftiSource(tmp_path)
    before = source.record("a")
    assert before["source_file"] == "a_ct.nii.gz" and before["licence"] == "not stated"
    labels = make_neck()[1].array
    labels[0, 0, 0] = 1
    write_volume(tmp_path / "a_seg.nii.gz", labels, SPACING_MM, ORIGIN_MM)
    assert source.record("a")["source_sha256"] != before["source_sha256"]


def test_a_file_beside_its_unpacked_copy(tmp_path):
    write_neck(tmp_path, "a")
    packed, plain = tmp_path / "a_seg.nii.gz", tmp_path / "a_seg.nii"
    content = gzip.decompress(packed.read_bytes())
    plain.write_bytes(content)
    assert NiftiSource(tmp_path).load("a").labels.array.any()
    for other in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), content + b"0"):
        plain.write_bytes(other)
        with pytest.raises(UserError, match=r"a_seg.nii.gz: a_seg.nii has other content; remove o"):
            NiftiSource(tmp_path).load("a")


def test_a_manifest_selects_patients_and_names_licences(tmp_path):
    text = "id,good,licence,source\n003,1,MIT,OpenKBP\n001,0,MIT,\n002,1,,\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    for name in ("001", "002", "003", "unlisted"):
        write_neck(tmp_path, name)
    assert NiftiSource(tmp_path).ids == ["001", "002", "003"]
    source = NiftiSource(tmp_path, ("good", "1"))
    assert source.ids == ["002", "003"]
    assert [source.record(id)["licence"] for id in source.ids] == ["not stated", "MIT"]
    assert [source.record(id)["source"] for id in source.ids] == ["nifti", "OpenKBP"]


def test_labels_beyond_the_neck_are_dropped(tmp_path):
    write_neck(tmp_path, "a")
    labels = make_neck()[1].array.astype(np.int16)
    labels[0, 0, 0], labels[0, 0, 1] = 8, -3
    write_volume(tmp_path / "a_seg.nii.gz", labels, SPACING_MM, ORIGIN_MM)
    array = NiftiSource(tmp_path).load("a").labels.array
    assert np.unique(array).tolist() == list(range(8)) and array[0, 0, 0] == 0


def test_labels_with_fractions(tmp_path):
    write_neck(tmp_path, "a")
    array = make_neck()[1].array.astype(np.float32) + 0.5
    write_volume(tmp_path / "a_seg.nii.gz", array, SPACING_MM, ORIGIN_MM)
    with pytest.raises(UserError, match=r"a_seg\.nii\.gz: holds fractions"):
        NiftiSource(tmp_path).load("a")


def test_labels_that_a_scale_rounded_are_whole_numbers(tmp_path):
    write_neck(tmp_path, "a")
    array = make_neck()[1].array * np.float32(0.99999)
    write_volume(tmp_path / "a_seg.nii.gz", array, SPACING_MM, ORIGIN_MM)
    labels = NiftiSource(tmp_path).load("a").labels
    np.testing.assert_array_equal(labels.array, make_neck()[1].array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"array": np.zeros((40, 52, 45), np.uint8)}, "40 x 52 x 45 voxels, its CT 40 x 52 x 46"),
        ({"spacing_mm": (2.0, 1.5, 2.4)}, "not on the grid of its CT; resample it first"),
        ({"origin_mm": (-30.0, 12.5, 100.0)}, "not on the grid of its CT; resample it first"),
    ],
)
def test_labels_on_another_grid(tmp_path, change, message):
    write_neck(tmp_path, "a")
    other = dataclasses.replace(make_neck()[1], **change)
    write_volume(tmp_path / "a_seg.nii.gz", other.array, other.spacing_mm, other.origin_mm)
    with pytest.raises(UserError, match=rf"a_seg\.nii\.gz: {message}"):
        NiftiSource(tmp_path).load("a")


def test_a_missing_label_file(tmp_path):
    write_neck(tmp_path, "a")
    (tmp_path / "a_seg.nii.gz").unlink()
    with pytest.raises(UserError, match=r"a_seg\.nii\.gz: no such file"):
        NiftiSource(tmp_path).load("a")


def test_folders_without_patients(tmp_path):
    with pytest.raises(UserError, match="absent: no such folder"):
        NiftiSource(tmp_path / "absent")
    with pytest.raises(UserError, match=r"no patients; name the files <id>_ct\.nii\.gz"):
        NiftiSource(tmp_path)


def test_selections_that_cannot_be_made(tmp_path):
    with pytest.raises(UserError, match=r"manifest\.csv: no such file; a selection needs it"):
        NiftiSource(tmp_path, ("good", "1"))
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("id,good\n1,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"manifest\.csv: no column 'better'"):
        NiftiSource(tmp_path, ("better", "1"))
    with pytest.raises(UserError, match=r"manifest\.csv: no row with good=2"):
        NiftiSource(tmp_path, ("good", "2"))
    manifest.write_text("name,good\n1,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"manifest\.csv: no column 'id'"):
        NiftiSource(tmp_path)
    manifest.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"manifest\.csv: not UTF-8 text; save it as CSV in UTF-8"):
        NiftiSource(tmp_path)


def test_phantoms_are_numbered_and_seeded_by_cohort_and_number(monkeypatch):
    made = []

    def make(seed, size, spacing_mm):
        made.append((seed, size, spacing_mm))
        return Stub(spacing_mm)

    monkeypatch.setattr(phantom, "make_phantom", make)
    source = PhantomSource(3, 2, 32, 4.0)
    assert source.ids == ["phantom-0000", "phantom-0001", "phantom-0002"]
    raw = source.load("phantom-0002")
    assert made == [(200002, 32, 4.0)]
    assert raw.ct.spacing_mm == (4.0, 4.0, 4.0) and raw.labels.origin_mm == (1.0, 2.0, 3.0)
    records = [PhantomSource(3, seed, 32, 4.0).record("phantom-0001") for seed in (2, 2, 3)]
    assert records[0] == records[1]
    assert records[0]["source_sha256"] != records[2]["source_sha256"]


def test_the_scan_of_a_phantom_may_be_larger_and_finer_than_its_crop():
    source = PhantomSource(1, 0, 32, 4.0, scan_spacing_mm=3.0)
    raw = source.load("phantom-0000")
    assert raw.ct.array.shape == raw.labels.array.shape == (64, 64, 64)
    assert raw.ct.spacing_mm == raw.labels.spacing_mm == (3.0, 3.0, 3.0)
    assert source.record("phantom-0000") != PhantomSource(1, 0, 32, 4.0).record("phantom-0000")
    with pytest.raises(UserError, match="--phantom_spacing_mm=5: above that of the crop, 4"):
        PhantomSource(1, 0, 32, 4.0, scan_spacing_mm=5.0)


class Stub:
    """Stand-in for a phantom, with the attributes that its source reads."""

    ct = np.zeros((2, 3, 4), np.int16)
    segmentation = np.zeros((2, 3, 4), np.uint8)
    origin_mm = (1.0, 2.0, 3.0)

    def __init__(self, spacing_mm):
        self.spacing_mm = spacing_mm


def test_a_real_phantom_has_good_labels():
    raw = PhantomSource(1, 0, 32, 4.0).load("phantom-0000")
    assert raw.ct.array.shape == (32, 32, 32)
    assert set(np.unique(raw.labels.array)) == set(range(8))


GOOD = [("a", "x"), ("b", "not stated")]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffid,licence\na,x\nb,\n",
        "\ufeffid;licence\r\na;x\r\nb;\r\n",
        "id\tlicence\na\tx\nb\t\n",
        "id , licence\n a, x \n\n,\nb,,\n",
        '"id","licence"\n"a","x"\n"b",""\n',
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path, text):
    (tmp_path / "manifest.csv").write_bytes(text.encode())
    for name in "ab":
        write_neck(tmp_path, name)
    source = NiftiSource(tmp_path)
    assert [(name, source.record(name)["licence"]) for name in source.ids] == GOOD
    assert source.unusable == {}


def test_bad_rows_of_a_table_cost_one_patient_each(tmp_path):
    table = tmp_path / "manifest.csv"
    rows = ["id,site,licence", "a,1,x", "b", "c,1,x,y", ",1,x", "d,1,x", "d,2,x", "../e,1,x"]
    table.write_text("\n".join(rows), encoding="utf-8")
    source = NiftiSource(tmp_path)
    assert source.ids == ["a"]
    assert source.unusable == {
        "b": f"{table}: line 3: 1 fields for 3 columns, or no id",
        "c": f"{table}: line 4: 4 fields for 3 columns, or no id",
        "line 5": f"{table}: line 5: 3 fields for 3 columns, or no id",
        "d": f"{table}: line 6: id 'd' is also that of {table}: line 7; rename one",
        "../e": f"{table}: line 8: id '../e': no plain file name; use up to 200 letters, digits "
        "and ._-+,=@()[], with a letter, a digit or _ first",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'id'"),
        ("id,id\na,b\n", "two columns 'id'"),
        ("id,patient,patient\na,b,c\n", "two columns 'patient'"),
        ('id\n"a\n', "line 2: unexpected end of data"),
    ],
)
def test_tables_that_cannot_be_understood(tmp_path, text, message):
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"manifest\.csv: {message}"):
        NiftiSource(tmp_path)


def test_scans_of_one_patient_are_those_of_one_id_in_the_order_of_the_table(tmp_path):
    rows = ["id,patient,licence", "late,p,x", "early,P,y", "alone,,z", "e\u0301,\u00e9,z"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    for name in ("late", "early", "alone"):
        write_neck(tmp_path, name)
    source = NiftiSource(tmp_path)
    assert source.ids == ["alone", "p", "\u00e9"] and source.unusable == {}
    assert source.scans("p") == ["late", "early"] and source.scans("alone") == ["alone"]
    records = [source.record(scan) for scan in source.scans("p")]
    assert [each["source_file"] for each in records] == ["late_ct.nii.gz", "early_ct.nii.gz"]
    assert [each["licence"] for each in records] == ["x", "y"]
    assert source.load("early").id == "early"
    assert NiftiSource(tmp_path, ("licence", "y")).scans("P") == ["early"]


def test_a_patient_of_a_table_who_cannot_name_a_file_costs_the_scan(tmp_path):
    table = tmp_path / "manifest.csv"
    table.write_text("id,patient\na,../p\nb,d\nd,\nd,\nd2,d2\n", encoding="utf-8")
    source = NiftiSource(tmp_path)
    assert source.ids == ["d", "d2"] and source.scans("d") == ["b"]
    assert source.unusable.keys() == {"a", "row d"}
    assert source.unusable["a"].startswith(f"{table}: line 2: id '../p': no plain file name")
    assert "is also that of" in source.unusable["row d"]


def test_a_table_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "manifest.csv")
    with pytest.raises(UserError, match=r"manifest\.csv: no file"):
        NiftiSource(tmp_path)


def test_a_table_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "manifest.csv").write_text("id\na\n", encoding="utf-8")

    def forbid(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "read_text", forbid)
    with pytest.raises(UserError, match=r"manifest\.csv: cannot be read \(Permission denied\)"):
        NiftiSource(tmp_path)


def test_what_a_mac_writes_is_no_patient(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Jörg") for form in ("NFC", "NFD"))
    write_neck(tmp_path, composed)
    (tmp_path / f"._{composed}_ct.nii.gz").write_bytes(b"attributes")
    (tmp_path / f"{composed}_seg.nii.gz").rename(tmp_path / f"{decomposed}_seg.nii.gz")
    source = NiftiSource(tmp_path)
    assert source.ids == [composed] and source.unusable == {}
    np.testing.assert_array_equal(source.load(composed).labels.array, make_neck()[1].array)
    write_neck(tmp_path, decomposed)
    twins = NiftiSource(tmp_path)
    assert twins.ids == [] and "is also that of" in next(iter(twins.unusable.values()))


def test_labels_without_a_ct_are_told(tmp_path):
    for name in "abc":
        write_neck(tmp_path, name)
    (tmp_path / "b_ct.nii.gz").unlink()
    (tmp_path / "c_ct.nii.gz").rename(tmp_path / "C_CT.nii.gz")
    source = NiftiSource(tmp_path)
    assert source.ids == ["C", "a"]
    assert source.unusable == {
        "b": f"{tmp_path / 'b_seg.nii.gz'}: no CT beside it; add b_ct.nii.gz, or remove the labels"
    }
    # Nobody asks for the labels, and then a table names the patients.
    assert NiftiSource(tmp_path, labelled=False).unusable == {}
    (tmp_path / "manifest.csv").write_text("id\na\n", encoding="utf-8")
    assert NiftiSource(tmp_path).unusable == {}
    (tmp_path / "manifest.csv").unlink()
    for name in ("a_ct", "C_CT"):
        (tmp_path / f"{name}.nii.gz").unlink()
    with pytest.raises(UserError, match=r"no patients; name the files <id>_ct.nii.gz"):
        NiftiSource(tmp_path)


def test_upper_case_and_files_without_gzip_are_patients(tmp_path):
    for name in ("a", "b", "c"):
        write_neck(tmp_path, name)
    for kind in ("ct", "seg"):
        (tmp_path / f"a_{kind}.nii.gz").rename(tmp_path / f"a_{kind}.nii.gz".upper())
        for name in ("b", "c"):
            content = gzip.decompress((tmp_path / f"{name}_{kind}.nii.gz").read_bytes())
            (tmp_path / f"{name}_{kind}.nii").write_bytes(content)
        (tmp_path / f"b_{kind}.nii.gz").unlink()
    source = NiftiSource(tmp_path)
    assert (source.ids, source.unusable) == (["A", "b", "c"], {})
    files = [source.record(name)["source_file"] for name in source.ids]
    assert files == ["A_CT.NII.GZ", "b_ct.nii", "c_ct.nii.gz"]
    for name in source.ids:
        np.testing.assert_array_equal(source.load(name).labels.array, make_neck()[1].array)


def test_a_label_file_beside_folders_of_several_series(tmp_path):
    (tmp_path / "cts" / "a").mkdir(parents=True)
    (tmp_path / "seg.nii.gz").touch()
    with pytest.raises(UserError, match=r"seg\.nii\.gz: a label file goes with the folder of one"):
        DicomSource(tmp_path / "cts", tmp_path / "seg.nii.gz")
