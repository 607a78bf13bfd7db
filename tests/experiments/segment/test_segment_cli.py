import dataclasses
import functools
import json

import numpy as np
import pytest
import SimpleITK as sitk

from experiments.segment.__main__ import summary_lines
from tests.ct_segmentation.painted_necks import (
    ORIGIN_MM,
    PaintedNetwork,
    find_painted,
    paint,
    painted_labels,
    painted_segmentation,
    write_neck,
)
from tests.data.dicoms import write_series
from tests.programs import assert_refused, run_program
from xctrs_tf.ct_segmentation import segmenter
from xctrs_tf.ct_segmentation.findings import UNCERTAIN
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.folder_lock import folder_lock

LABELS = painted_labels()


@pytest.fixture(autouse=True)
def _painted(monkeypatch):
    """Put a network in place that reads the painted numbers, and an empty picture."""
    monkeypatch.setattr(segmenter, "load_network", lambda model: PaintedNetwork())
    answer_with(monkeypatch)
    monkeypatch.setattr(
        "xctrs_tf.ct_segmentation.output.ct_picture.write_picture",
        lambda path, *rest: path.touch(),
    )


def answer_with(monkeypatch, **findings):
    found = functools.partial(find_painted, **findings)
    monkeypatch.setattr(segmenter, "find_vertebrae", found)


def segment(folder, *flags, ct=None):
    paths = [ct or write_neck(folder / "neck.nii.gz")] if not isinstance(ct, list) else ct
    flags = (*(f"--ct={path}" for path in paths), f"--output={folder / 'out'}", *flags)
    return run_program("segment", *flags)


def written_labels(folder):
    image = sitk.ReadImage(str(folder / "out" / "segmentation.nii.gz"))
    return sitk.GetArrayFromImage(image).T


def test_a_scan_to_files(tmp_path):
    result = segment(tmp_path, "--strict")
    assert (result.returncode, result.stderr) == (0, "")
    out = tmp_path / "out"
    names = sorted(path.name for path in out.iterdir())
    assert {"segmentation.json", "segmentation.nii.gz", "preview.png", "C7.stl"} <= set(names)
    lines = result.stdout.splitlines()
    assert lines[: len(names)] == [str(out / name) for name in names]
    assert lines[len(names)] == "levels anchored at C1/C2"
    assert lines[-2:] == [
        "  C7  at 1.2, 61.2, 316.2 mm  18.0 cm3  confidence 0.90",
        "C1 to C7 are whole, and no check found a problem",
    ]
    np.testing.assert_array_equal(written_labels(tmp_path), LABELS)
    assert {path.stat().st_mode & 0o077 for path in (out, *out.iterdir())} == {0}


def test_the_folder_may_be_shared(tmp_path):
    assert segment(tmp_path, "--share").returncode == 0
    assert (tmp_path / "out").stat().st_mode & 0o055 == 0o055


def test_a_dicom_series(tmp_path):
    write_series(tmp_path / "series", Volume(paint(LABELS), (2.5,) * 3, ORIGIN_MM))
    result = segment(tmp_path, ct=tmp_path / "series")
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(np.unique(written_labels(tmp_path))) == list(range(8))


def test_several_files_are_the_parts_of_one_scan(tmp_path):
    upper_mm = (*ORIGIN_MM[:2], ORIGIN_MM[2] + 30 * 2.5)
    hu = paint(LABELS)
    upper = np.ascontiguousarray(hu[:, :, 30:])
    parts = [
        write_neck(tmp_path / "a.nii.gz", np.ascontiguousarray(hu[:, :, :30])),
        write_neck(tmp_path / "b.nii.gz", upper, origin_mm=upper_mm),
    ]
    result = segment(tmp_path, ct=parts)
    assert (result.returncode, result.stderr) == (0, "")
    np.testing.assert_array_equal(written_labels(tmp_path), LABELS)


def test_the_model_is_the_one_of_the_flag(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        segmenter, "load_network", lambda model: asked.append(model) or PaintedNetwork()
    )
    assert segment(tmp_path).returncode == 0
    assert segment(tmp_path, "--model=RUN").returncode == 0
    assert asked == ["vertebrae64", "RUN"]


@pytest.mark.parametrize("strict", [False, True])
def test_uncertain_levels_are_said_and_have_a_status_of_their_own(tmp_path, monkeypatch, strict):
    answer_with(monkeypatch, levels=UNCERTAIN, problems=("V2 touches V3",))
    result = segment(tmp_path, f"--strict={strict}")
    assert (result.returncode, result.stderr) == (3 if strict else 0, "")
    lines = result.stdout.splitlines()
    assert "levels uncertain" in lines
    assert any(line.startswith("  V2  at ") and line.endswith("likely C2") for line in lines)
    assert lines[-2:] == ["problem: V2 touches V3", "check the result: preview.png"]
    record = json.loads((tmp_path / "out" / "segmentation.json").read_text(encoding="utf-8"))
    assert record["certain"] is False


def test_what_is_missing_or_cut_is_said():
    findings = painted_segmentation(missing=("C7",)).findings
    first = dataclasses.replace(findings.vertebrae[0], cut=True, problems=("it is\nsmall",))
    lines = summary_lines(dataclasses.replace(findings, vertebrae=(first,)))
    assert lines[1].endswith("; cut by the border of the scan; it is small")
    assert lines[2:] == ["not found: C7", "check the result: preview.png"]


def test_a_scan_without_a_neck_is_refused(tmp_path):
    path = write_neck(tmp_path / "chest.nii.gz", paint(np.zeros_like(LABELS)))
    result = segment(tmp_path, ct=path)
    assert_refused(result, f"{path}: no cervical spine found", tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["chest.nii.gz"]


@pytest.mark.parametrize("strict", ["--strict", "--nostrict"])
def test_an_earlier_result_stays_where_the_next_scan_is_refused(tmp_path, strict):
    assert segment(tmp_path).returncode == 0
    path = write_neck(tmp_path / "chest.nii.gz", paint(np.zeros_like(LABELS)))
    assert segment(tmp_path, strict, ct=path).returncode == 2
    np.testing.assert_array_equal(written_labels(tmp_path), LABELS)


def test_bad_input_is_one_line(tmp_path):
    out = tmp_path / "out"
    missing = segment(tmp_path, ct=tmp_path / "none.nii.gz")
    assert_refused(missing, "none.nii.gz", out)
    (tmp_path / "text.nii.gz").write_text("no volume", encoding="utf-8")
    assert_refused(segment(tmp_path, ct=tmp_path / "text.nii.gz"), "text.nii.gz", out)
    (tmp_path / "empty").mkdir()
    assert_refused(segment(tmp_path, ct=tmp_path / "empty"), "empty", out)
    assert_refused(run_program("segment", f"--output={out}"), "--ct", out)
    assert_refused(run_program("segment", "--ct=a.nii.gz"), "--output")


def test_a_folder_of_other_files_is_refused_before_anything_is_read(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "ct.nii.gz").touch()
    result = segment(tmp_path, ct=tmp_path / "none.nii.gz")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {out}: holds other files; choose an empty output folder\n"
    assert [entry.name for entry in out.iterdir()] == ["ct.nii.gz"]


def test_a_folder_in_use_is_refused(tmp_path):
    with folder_lock(tmp_path / "out", beside=True):
        result = segment(tmp_path)
    assert_refused(result, "writes to it", tmp_path / "out")
