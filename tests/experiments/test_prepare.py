import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck, write_neck
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.volumes import write_volume

ROOT = pathlib.Path(__file__).parents[2]


def command(*flags):
    return [sys.executable, "-m", "experiments.prepare", *map(str, flags)]


def prepare(*flags):
    return subprocess.run(command(*flags), cwd=ROOT, capture_output=True, text=True, timeout=120)


def content(folder):
    return {
        file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def nifti_flags(folder):
    return ("--source=nifti", f"--input={folder / 'in'}", f"--output={folder / 'out'}", "--size=32")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def assert_refused(result, message, folder):
    """One line of error, status 2, nothing on stdout, nothing written."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert message in lines[0]
    assert (result.returncode, result.stdout) == (2, "")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source=moon"], "--source"),
        (["--source=phantom", "--size=48"], "--size"),
        (["--source=phantom", "--num_patients=0"], "--num_patients"),
        (["--source=phantom", "--sise=32"], "'sise'"),
        (["--source=phantom", "--spacing_mm=99"], "--spacing_mm"),
        (["--source=phantom", "stray"], "unexpected argument 'stray'"),
        (["--source=phantom", "--select=a=b"], "--select: phantoms need none; leave it out"),
        (["--source=nifti"], "--input: missing; name the folder"),
        (["--source=nifti", "--input=absent"], "absent: no such folder"),
        (["--source=nifti", "--input=.", "--select=core69"], "write it as COLUMN=VALUE"),
        (["--source=nifti", "--input=tests"], "tests: no patients; name the files"),
    ],
)
def test_mistakes_in_the_flags(folder, flags, message):
    result = prepare(f"--output={folder / 'out'}", *flags)
    assert_refused(result, message, folder)


def test_no_output(folder):
    assert_refused(prepare("--source=phantom"), "--output", folder)


def without_labels(folder):
    (folder / "a_seg.nii.gz").unlink()


def labels_of_another_shape(folder):
    labels = make_neck()[1].array[:, :, :45]
    write_volume(folder / "a_seg.nii.gz", labels, SPACING_MM, ORIGIN_MM)


def ct_with_nan(folder):
    ct = make_neck()[0].array.astype(np.float32)
    ct[1, 2, 3] = np.nan
    write_volume(folder / "a_ct.nii.gz", ct, SPACING_MM, ORIGIN_MM)


def damaged_gzip(folder):
    file = folder / "a_ct.nii.gz"
    file.write_bytes(file.read_bytes()[:-100])


def no_c7(folder):
    labels = make_neck()[1].array
    write_volume(folder / "a_seg.nii.gz", np.where(labels == 7, 0, labels), SPACING_MM, ORIGIN_MM)


SPOILERS = {
    without_labels: "a_seg.nii.gz: no such file",
    labels_of_another_shape: "a_seg.nii.gz: 40 x 52 x 45 voxels, its CT 40 x 52 x 46",
    ct_with_nan: "a_ct.nii.gz: holds NaN or infinite values",
    damaged_gzip: "a_ct.nii.gz: damaged gzip",
    no_c7: "a_ct.nii.gz: label C7 missing",
}


@pytest.mark.parametrize(("spoil", "message"), SPOILERS.items())
def test_an_only_patient_that_cannot_be_used(folder, spoil, message):
    write_neck(folder / "in", "a")
    spoil(folder / "in")
    assert_refused(prepare(*nifti_flags(folder)), message, folder)


def test_a_bad_patient_among_good_ones_is_listed(folder):
    for seed, name in enumerate("abc"):
        write_neck(folder / "in", name, seed)
    no_c7(folder / "in")
    result = prepare(*nifti_flags(folder), "--spacing_mm=3")
    assert result.returncode == 1, result.stderr
    dataset = open_dataset(folder / "out")
    summary, rejected = result.stdout.splitlines()
    assert (
        f"2 patients of 32^3 voxels in 2 folds, 1 rejected; content hash {dataset.content_hash()}"
        in (summary)
    )
    reason = dataset.manifest["rejected"][0]["reason"]
    assert dataset.manifest["rejected"] == [{"id": "a", "reason": reason}]
    assert reason.endswith("a_ct.nii.gz: label C7 missing")
    assert rejected == f"rejected a: {reason}"
    assert dataset.ids == ["b", "c"]
    assert dataset.load("b").ct.shape == (32, 32, 32)
    assert dataset.manifest["projection"] == {"geometry": "parallel"}


def test_a_killed_preparation_goes_on_and_ends_in_the_same_bytes(folder):
    for number in range(12):
        write_neck(folder / "in", f"n{number:02d}", number % 8)
    flags = (*nifti_flags(folder), "--spacing_mm=3", "--num_folds=4", "--workers=1")
    out = folder / "out"
    with subprocess.Popen(command(*flags), cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while not (out / "manifest.unfinished.json").exists():
            assert process.poll() is None
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    assert not (out / "manifest.json").exists()
    kept = [
        record["id"]
        for record in json.loads((out / "manifest.unfinished.json").read_text())["patients"]
    ]
    times = {id: (out / f"patients/{id}.npz").stat().st_mtime_ns for id in kept}

    assert prepare(*flags).returncode == 0
    assert 0 < len(kept) < 12
    assert {id: (out / f"patients/{id}.npz").stat().st_mtime_ns for id in kept} == times
    assert [len(fold) for fold in open_dataset(out).manifest["folds"]] == [3] * 4

    finished = content(out)
    assert prepare(*flags).returncode == 0
    assert content(out) == finished

    other = (*flags[:2], f"--output={folder / 'other'}", *flags[3:-1], "--workers=2")
    assert prepare(*other).returncode == 0
    assert content(folder / "other") == finished

    result = prepare(*flags, "--seed=1")
    assert result.returncode == 2
    assert result.stderr == f"error: {out}: made with another seed; choose another output folder\n"
    assert content(out) == finished


def test_a_foreign_output_folder_is_left_alone(folder):
    write_neck(folder / "in", "a")
    (folder / "out").mkdir()
    (folder / "out" / "letter.txt").write_text("mine")
    result = prepare(*nifti_flags(folder))
    assert result.returncode == 2
    assert result.stderr.endswith("out: holds other files; choose an empty output folder\n")
    assert [file.name for file in (folder / "out").iterdir()] == ["letter.txt"]


def test_phantoms(folder):
    flags = ("--source=phantom", "--num_patients=2", "--size=32", f"--output={folder / 'out'}")
    result = prepare(*flags)
    assert result.returncode == 0, result.stderr
    dataset = open_dataset(folder / "out")
    assert dataset.ids == ["phantom-0000", "phantom-0001"]
    assert [record["source"] for record in dataset.manifest["patients"]] == ["phantom"] * 2
    cases = [dataset.load(id) for id in dataset.ids]
    assert {case.ct.shape for case in cases} == {(32, 32, 32)}
    assert all(set(np.unique(case.segmentation)) == set(range(8)) for case in cases)
    assert (cases[0].ct != cases[1].ct).any()
