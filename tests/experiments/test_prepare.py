import gzip
import json
import os
import resource
import signal
import subprocess
import time

import numpy as np
import pytest

from experiments import prepare as prepare_program
from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck, write_neck
from tests.experiments.preparing import content, nifti_flags, prepare
from tests.programs import ROOT, assert_refused, command
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.folder_lock import folder_lock


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


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
        (["--source=phantom", "--input=."], "--input: phantoms need none; leave it out"),
        (["--source=phantom", "--source=nifti"], "--source: phantoms do not mix"),
        (["--source=phantom", "--projection=fan"], "--projection"),
        (["--source=phantom", "--spacing_mm=nan"], "--spacing_mm=nan: must be from 0.1 to 10"),
        (["--source=phantom", "--source_to_isocentre_mm=1"], "--source_to_isocentre_mm: parallel"),
        (["--source=phantom", "--projection_preset=x2ct"], "--projection_preset: parallel rays"),
        (["--source=phantom", "--projection_preset=ct"], "--projection_preset=ct: value should"),
        (["--source=phantom", "--pose_rotation_deg=16"], "--pose_rotation_deg=16: must be from 0"),
        (["--source=phantom", "--keep_scan"], "--keep_scan: phantoms end where"),
        (["--source=phantom", "--field_of_view=full"], "--field_of_view=full: phantoms end where"),
        (["--source=phantom", "--phantom_spacing_mm=5"], "--phantom_spacing_mm=5: above that"),
        (["--source=phantom", "--phantom_spacing_mm=0.1"], "must be from 0.5 to 10"),
        (["--source=nifti", "--phantom_spacing_mm=1"], "only with --source=phantom"),
        (["--source=phantom", "--photons=nan"], "--photons=nan: must be from 1"),
        (["--source=phantom", "--blur_mm=thick"], "--blur_mm=thick"),
        (["--source=phantom", "--check=."], "--check: looks at a finished folder"),
        ([], "--source: missing"),
        (["--source=nifti", "--input=.", "--label_map=1:2"], "--label_map=1:2: name each of 1..7"),
        (["--source=openkbp", "--input=."], "--labels: missing; name the folder"),
        (["--source=nifti"], "--input: missing; name the folder"),
        (["--source=nifti", "--input=absent"], "absent: no such folder"),
        (["--source=nifti", "--input=.", "--select=core69"], "write it as COLUMN=VALUE"),
        (["--source=nifti", "--input=tests"], "tests: no patients; name the files"),
    ],
)
def test_mistakes_in_the_flags(folder, flags, message):
    result = prepare(f"--output={folder / 'out'}", *flags)
    assert_refused(result, message, folder / "out")


def test_no_output(folder):
    assert_refused(prepare("--source=phantom"), "--output")


def without_labels(folder, name):
    (folder / f"{name}_seg.nii.gz").unlink()


def labels_of_another_shape(folder, name):
    labels = make_neck()[1].array[:, :, :45]
    write_volume(folder / f"{name}_seg.nii.gz", labels, SPACING_MM, ORIGIN_MM)


def ct_with_nan(folder, name):
    ct = make_neck()[0].array.astype(np.float32)
    ct[1, 2, 3] = np.nan
    write_volume(folder / f"{name}_ct.nii.gz", ct, SPACING_MM, ORIGIN_MM)


def damaged_gzip(folder, name):
    file = folder / f"{name}_ct.nii.gz"
    file.write_bytes(file.read_bytes()[:-100])


def labels_without(folder, name, numbers):
    labels = make_neck()[1].array
    labels[np.isin(labels, numbers)] = 0
    write_volume(folder / f"{name}_seg.nii.gz", labels, SPACING_MM, ORIGIN_MM)


def no_c7(folder, name):
    labels_without(folder, name, [7])


def no_vertebra(folder, name):
    labels_without(folder, name, range(8))


def zero_spacing(folder, name):
    file = folder / f"{name}_ct.nii.gz"
    content = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(content[:84] + bytes(4) + content[88:]))


SPOILERS = {
    without_labels: "{}_seg.nii.gz: no such file",
    labels_of_another_shape: "{}_seg.nii.gz: 40 x 52 x 45 voxels, its CT 40 x 52 x 46",
    ct_with_nan: "{}_ct.nii.gz: holds NaN or infinite values",
    damaged_gzip: "{}_ct.nii.gz: damaged gzip",
    no_c7: "{}_ct.nii.gz: label C7 missing",
    no_vertebra: "{}_ct.nii.gz: label C1, C2, C3, C4, C5, C6, C7 missing",
    zero_spacing: "{}_ct.nii.gz: a voxel size of 0 mm; correct its header",
}


def test_damaged_patients_are_rejected_and_the_others_prepared(folder):
    names = [f"p{number}" for number in range(len(SPOILERS))]
    for seed, (name, spoil) in enumerate(zip(names, SPOILERS, strict=True)):
        write_neck(folder / "in", name, seed)
        spoil(folder / "in", name)
    for seed, name in enumerate(("whole-1", "whole-2"), start=10):
        write_neck(folder / "in", name, seed)
    result = prepare(*nifti_flags(folder), "--spacing_mm=3")
    assert (result.returncode, result.stderr) == (1, "")
    dataset = open_dataset(folder / "out")
    assert dataset.ids == ["whole-1", "whole-2"]
    rejected = dataset.manifest["rejected"]
    assert [scan["id"] for scan in rejected] == names
    for scan, message in zip(rejected, SPOILERS.values(), strict=True):
        assert message.format(scan["id"]) in scan["reason"]
    lines = [f"rejected {scan['id']}: {scan['reason']}" for scan in rejected]
    assert result.stdout.splitlines()[1:] == lines


def test_a_disk_that_fills_up(folder):
    for seed, name in enumerate("ab"):
        write_neck(folder / "in", name, seed)

    _, highest = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, highest))
    try:
        result = prepare(*nifti_flags(folder), "--spacing_mm=3", "--workers=1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    lines = result.stderr.splitlines()
    assert result.returncode == 2 and len(lines) == 1
    assert "a.npz: cannot be written (File too large)" in lines[0]
    assert not list(folder.glob("out/**/*.npz"))


def test_two_preparations_into_one_folder(folder):
    write_neck(folder / "in", "a")
    with folder_lock(folder / "out"):
        result = prepare(*nifti_flags(folder), "--workers=1")
    assert_refused(result, "writes to it; wait until that ends", folder / "out")


def test_an_output_that_cannot_be_written_is_found_before_computing(folder, monkeypatch):
    write_neck(folder / "in", "a")
    (folder / "file").write_bytes(b"")
    monkeypatch.setattr(prepare_program, "prepare_cohort", None)
    output = folder / "file" / "out"
    result = prepare(*nifti_flags(folder)[:-2], f"--output={output}", "--size=32")
    assert_refused(result, "not a folder; choose another output folder", output)


def test_leftovers_of_killed_preparations_are_removed(folder):
    write_neck(folder / "in", "a")
    left = [".manifest.unfinished.json.ab12cd34", "patients/.a.npz.ef56ab78"]
    flags = (*nifti_flags(folder), "--workers=1", "--spacing_mm=3")
    assert prepare(*flags).returncode == 0
    finished = content(folder / "out")
    # Nobody else may read the patients.
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("out/**/*")} == {0}
    for name in left:
        (folder / "out" / name).mkdir()
    assert prepare(*flags).returncode == 0
    assert content(folder / "out") == finished
    assert not any((folder / "out" / name).exists() for name in left)


def test_ids_that_are_paths_write_nothing_elsewhere(folder):
    write_neck(folder / "in", "a")
    write_neck(folder, "up")
    ids = ["a", "../up", str(folder / "up"), "a\x1b[31m"]
    (folder / "in/manifest.csv").write_text("\n".join(["id", *ids]), encoding="utf-8")
    before = set(folder.iterdir())
    result = prepare(*nifti_flags(folder), "--workers=1", "--spacing_mm=3")
    assert (result.returncode, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 4 and all(line.isprintable() for line in lines)
    assert all("no plain file name" in line for line in lines[1:])
    assert set(folder.iterdir()) - before == {folder / "out"}
    assert [file.name for file in folder.glob("out/**/*.npz")] == ["a.npz"]


def test_a_hand_edited_manifest_writes_nothing_elsewhere(folder):
    write_neck(folder / "in", "a")
    flags = (*nifti_flags(folder), "--workers=1", "--spacing_mm=3")
    assert prepare(*flags).returncode == 0
    file = folder / "out/manifest.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"id": "a"', '"id": "../../a"'), encoding="utf-8")
    for arguments in ([f"--check={folder / 'out'}"], flags):
        result = prepare(*arguments)
        assert result.returncode == 2
        assert "manifest.json: id '../../a': no plain file name" in result.stderr
    assert not list(folder.glob("*.png"))


@pytest.mark.parametrize("spoil", [without_labels, no_c7])
def test_an_only_patient_that_cannot_be_used(folder, spoil):
    write_neck(folder / "in", "a")
    spoil(folder / "in", "a")
    assert_refused(prepare(*nifti_flags(folder)), SPOILERS[spoil].format("a"), folder / "out")


def written(out):
    """Return the ids of the patients that an unfinished folder lists."""
    manifest = out / "manifest.unfinished.json"
    if not manifest.exists():
        return []
    return [record["id"] for record in json.loads(manifest.read_text(encoding="utf-8"))["patients"]]


def test_a_killed_preparation_goes_on_and_ends_in_the_same_bytes(folder):
    for number in range(12):
        write_neck(folder / "in", f"n{number:02d}", number)
    flags = (*nifti_flags(folder), "--spacing_mm=3", "--num_folds=4", "--workers=1")
    out = folder / "out"
    with subprocess.Popen(
        command("prepare", *flags), cwd=ROOT, stderr=subprocess.DEVNULL
    ) as process:
        while not written(out):
            assert process.poll() is None
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    assert not (out / "manifest.json").exists()
    kept = written(out)
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
    (folder / "out" / "letter.txt").write_text("mine", encoding="utf-8")
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

    result = prepare(f"--check={folder / 'out'}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{folder / 'out/check/index.html'}: 2 patients, ")
    assert (folder / "out/check/phantom-0001.png").stat().st_size > 10_000


def test_patients_who_left_are_told_and_another_source_is_refused(folder):
    for seed, name in enumerate("abc"):
        write_neck(folder / "in", name, seed)
    assert prepare(*nifti_flags(folder)).returncode == 0
    (folder / "in/a_ct.nii.gz").unlink()
    (folder / "in/a_seg.nii.gz").unlink()
    result = prepare(*nifti_flags(folder))
    assert "removed, since not in the source any more: a\n" in result.stdout
    before = content(folder / "out")
    (folder / "in").rename(folder / "earlier")
    (folder / "in").mkdir()
    write_neck(folder / "in", "z")
    result = prepare(*nifti_flags(folder))
    assert result.returncode == 2
    assert (
        "out: has the patients b, c, and the source has none of them; name another --output"
        in result.stderr
    )
    assert content(folder / "out") == before


def test_checking_what_is_no_data_folder(folder):
    result = prepare(f"--check={folder / 'in'}")
    assert_refused(result, "no prepared data folder")
    assert list((folder / "in").iterdir()) == []


def test_phantoms_of_smaller_voxels_are_cropped_and_resampled_as_scans(folder):
    flags = ("--source=phantom", "--num_patients=2", "--size=32", f"--output={folder / 'out'}")
    result = prepare(*flags, "--phantom_spacing_mm=2", "--keep_scan")
    assert (result.returncode, result.stderr) == (0, "")
    dataset = open_dataset(folder / "out")
    record = dataset.manifest["patients"][0]
    assert (record["scan_size"], record["scan_spacing_mm"]) == ([96] * 3, [2.0] * 3)
    case = dataset.load("phantom-0000", with_scan=True)
    assert (case.ct.shape, case.spacing_mm) == ((32, 32, 32), 4.0)
    # The scan shows skull and shoulders beyond the crop.
    assert min(case.scan.shape) > 32
    assert set(np.unique(case.segmentation)) == set(range(8))
    result = prepare(*flags, "--phantom_spacing_mm=4", "--keep_scan")
    assert "made with another phantom_spacing_mm" in result.stderr
