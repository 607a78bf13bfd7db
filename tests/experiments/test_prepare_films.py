"""The X-ray simulation of `experiments.prepare`."""

import pytest

from tests.data.necks import write_neck
from tests.experiments.preparing import content, nifti_flags, prepare
from xctrs_tf.data.dataset import open_dataset


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def test_a_cone_on_the_whole_scan(folder):
    write_neck(folder / "in", "a")
    write_neck(folder / "in", "b", 1)
    flags = (*nifti_flags(folder), "--projection=cone", "--field_of_view=full", "--workers=1")
    result = prepare(*flags, "--source_to_detector_mm=1700")
    assert (result.returncode, result.stderr) == (0, "")
    dataset = open_dataset(folder / "out")
    projection = dataset.manifest["projection"]
    assert (projection["kind"], projection["field_of_view"]) == ("cone", "full")
    assert projection["source_to_isocentre_mm"] == 1500.0
    assert projection["source_to_detector_mm"] == 1700.0
    assert dataset.load("a").ap.max() > 0
    result = prepare(*flags)
    assert "made with another projection" in result.stderr


def test_films_with_poses_and_all_detector_effects(folder):
    for seed, name in enumerate("abc"):
        write_neck(folder / "in", name, seed)
    effects = {
        "photons": 20000.0,
        "scatter_fraction": 0.3,
        "scatter_width_mm": 30.0,
        "blur_mm": 1.0,
        "gamma": 1.5,
    }
    options = {"pose_rotation_deg": 5.0, "pose_translation_mm": 4.0, **effects}
    plain = (*nifti_flags(folder), "--projection=cone", "--projection_preset=x2ct")
    flags = (*plain, *(f"--{name}={value}" for name, value in options.items()))
    result = prepare(*flags, "--workers=1")
    assert (result.returncode, result.stderr) == (0, "")
    manifest = open_dataset(folder / "out").manifest
    projection = manifest["projection"]
    assert options.items() <= projection.items()
    assert (projection["source_to_isocentre_mm"], projection["source_to_detector_mm"]) == (541, 949)
    own = [record["projection"] for record in manifest["patients"]]
    assert len({tuple(pose["rotation_deg"]) for pose in own}) == 3
    for pose in own:
        assert 0 < max(map(abs, pose["rotation_deg"])) <= 5
        assert 0 < max(map(abs, pose["translation_mm"])) <= 4
        assert pose["source_to_isocentre_mm"] == 541

    finished = content(folder / "out")
    assert prepare(*flags, f"--output={folder / 'two'}", "--workers=2").returncode == 0
    assert content(folder / "two") == finished
    assert "made with another projection" in prepare(*plain).stderr
    result = prepare(f"--check={folder / 'out'}")
    assert (result.returncode, result.stderr) == (0, "")
    assert (folder / "out/check/c.png").stat().st_size > 10_000


def test_the_scan_around_the_crop_is_kept(folder):
    for seed, name in enumerate("abc"):
        write_neck(folder / "in", name, seed)
    flags = (*nifti_flags(folder), "--keep_scan")
    result = prepare(*flags, "--workers=1")
    assert (result.returncode, result.stderr) == (0, "")
    dataset = open_dataset(folder / "out")
    case = dataset.load("b", with_scan=True)
    assert dataset.manifest["keep_scan"] is True
    assert list(case.scan.shape) == dataset.manifest["patients"][1]["kept_scan_size"]
    assert prepare(*flags, f"--output={folder / 'two'}", "--workers=2").returncode == 0
    assert content(folder / "two") == content(folder / "out")
    assert "made with another keep_scan" in prepare(*nifti_flags(folder)).stderr
