import dataclasses
import gzip
import json
import os
import re
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.image import imread

from tests.export.runs import SIZE
from tests.films import BLOCK, block_films
from xctrs_tf.data.films.pair.film_pair import FilmPair
from xctrs_tf.data.films.pair.film_picture import draw_films
from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction import (
    Reconstruction,
    check_output,
    output_folder,
    write_reconstruction,
)
from xctrs_tf.reconstruction.films.film_options import FilmOptions
from xctrs_tf.reconstruction.films.pair_reading import film_request
from xctrs_tf.reconstruction.output_folder import file_request, made_otherwise
from xctrs_tf.report.page_data import css_color
from xctrs_tf.report.provenance_record import model_record

FILES = ["ct.nii.gz", "films.png", "preview.png", "reconstruction.json"]
SEGMENTATION = ["segmentation.ctbl", "segmentation.label", "segmentation.nii.gz"]
REPORT = ["C3.stl", "report.html", "report.json"]


def make_reconstruction(segmented=True):
    """Return a reconstruction: a block of bone in air, with voxels of 2.5 mm."""
    ct = np.full((SIZE, SIZE, SIZE), -1000, np.int16)
    ct[BLOCK] = 900
    labels = np.zeros(ct.shape, np.uint8)
    labels[BLOCK] = 3
    return Reconstruction(
        ct, labels if segmented else None, 2.5, (-38.75,) * 3, films=block_films()
    )


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_simpleitk_finds_every_voxel_where_it_is(tmp_path):
    verdict = write_reconstruction(make_reconstruction(), tmp_path / "out")
    assert names_in(tmp_path / "out") == sorted(FILES + SEGMENTATION + REPORT)
    assert verdict.level == "fail"
    assert "C1, C2, C4, C5, C6, C7 missing" in verdict.findings[0].reason
    ct = sitk.ReadImage(str(tmp_path / "out" / "ct.nii.gz"))
    labels = sitk.ReadImage(str(tmp_path / "out" / "segmentation.nii.gz"))
    assert (ct.GetPixelID(), labels.GetPixelID()) == (sitk.sitkInt16, sitk.sitkUInt8)
    for image in (ct, labels):
        assert image.GetSpacing() == (2.5, 2.5, 2.5)
        assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    # First and last voxel of the block: -38.75 + 2.5 * (20, 11, 5) and (22, 14, 9).
    for image, value in ((ct, 900), (labels, 3)):
        for point in ((11.25, -11.25, -26.25), (16.25, -3.75, -16.25)):
            assert image[image.TransformPhysicalPointToIndex(point)] == value
    array = sitk.GetArrayFromImage(ct)
    assert (array > 0).sum() == 3 * 4 * 5
    assert (sitk.GetArrayFromImage(labels) == 3).sum() == 3 * 4 * 5


def test_the_record_tells_which_models_answered_and_whether_mirrored(tmp_path):
    models = tuple(model_record(name, None) for name in ("a", "b"))
    together = dataclasses.replace(make_reconstruction(), models=models, mirror=True)
    for reconstruction in (together, make_reconstruction()):
        write_reconstruction(reconstruction, tmp_path / "out", report=False)
        record = json.loads((tmp_path / "out" / "reconstruction.json").read_text("utf-8"))
        assert record["models"] == list(reconstruction.models)
        assert record["mirror"] is reconstruction.mirror
        assert record["checks"] == {"views": None, "quality": None}


def test_the_package_for_dicom_is_missed_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"--dicom: needs .* pip install xctrs-tf\[dicom\]"):
        write_reconstruction(make_reconstruction(), tmp_path / "out", dicom=True)
    assert not (tmp_path / "out").exists()


def test_a_picture_of_refused_films_that_others_could_open_has_never_its_name(
    tmp_path, monkeypatch
):
    pair = FilmPair({}, films=block_films(), problem="no neck")
    monkeypatch.setattr(output_folder, "draw_films", lambda path, *others: path.touch())
    picture = tmp_path / "out.refused_films.png"

    def make_private(path):
        assert not picture.exists()
        path.chmod(0o600)

    monkeypatch.setattr(output_folder, "make_private", make_private)
    assert output_folder.write_refused_films(pair, tmp_path / "out") == picture
    assert picture.stat().st_mode & 0o077 == 0


@pytest.fixture
def finished(tmp_path):
    """Write reconstruction.json of two films; return the arguments of `made_otherwise`."""
    paths = {view: tmp_path / f"{view}.png" for view in ("ap", "la")}
    for view, path in paths.items():
        path.write_text(view, encoding="utf-8")
    options = FilmOptions(ap_crop_box=(1, 2, 3, 4), rotate=np.float32(2.5))
    asked = {
        "models": [{**model_record("a", None, sha256="a" * 64), "fpmath": "float32"}],
        "mirror": False,
        "films": film_request(paths, options, 2.5),
        "files": file_request(report=True, dicom=True, copy_patient=False),
    }
    (tmp_path / "out").mkdir()
    record = {**asked, "films": {"asked": asked["films"]}}
    (tmp_path / "out" / "reconstruction.json").write_text(json.dumps(record), encoding="utf-8")
    return {"folder": tmp_path / "out", **asked}


def test_the_same_films_and_flags_are_not_made_otherwise(tmp_path, finished):
    assert made_otherwise(**finished) is None
    # A film that is no longer there, and a pipe, are not compared.
    (tmp_path / "ap.png").unlink()
    os.mkfifo(tmp_path / "ap.png")
    paths = {"ap": tmp_path / "ap.png", "la": tmp_path / "absent.png"}
    options = FilmOptions(ap_crop_box=[1, 2, 3, 4], rotate=2.5)
    assert made_otherwise(**{**finished, "films": film_request(paths, options, 2.5)}) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"models": [{"sha256": "b" * 64}], "mirror": True}, "by another model, without --mirror"),
        ({"films": "exported again"}, "from another AP and another LA film"),
        (
            {"films": FilmOptions(rotate=2.5, la_invert=True)},
            "with other values of --la_invert, --ap_crop_box, --spacing_mm",
        ),
        (
            {"models": [{"sha256": "a" * 64, "fpmath": "bfloat16"}]},
            "in another precision (--fpmath; bfloat16 needs a processor with AMX)",
        ),
        ({"files": file_request(False, False, False)}, "with --report, with --dicom"),
        ({"files": file_request(True, True, True)}, "without --copy_patient"),
    ],
)
def test_what_was_made_otherwise_is_named(tmp_path, finished, changed, message):
    paths = {view: tmp_path / f"{view}.png" for view in ("ap", "la")}
    films = changed.get("films")
    if isinstance(films, str):
        for path in paths.values():
            path.write_text(films, encoding="utf-8")
        options = FilmOptions(ap_crop_box=(1, 2, 3, 4), rotate=2.5)
        changed = {"films": film_request(paths, options, 2.5)}
    elif films is not None:
        changed = {"films": film_request(paths, films)}
    assert made_otherwise(**{**finished, **changed}) == (
        f"{tmp_path / 'out'} was made {message}; give --overwrite, or another --output"
    )


def test_the_order_of_the_models_counts(finished):
    record = {"models": [{"sha256": "a"}, {"sha256": "b"}]}
    (finished["folder"] / "reconstruction.json").write_text(json.dumps(record), encoding="utf-8")
    assert made_otherwise(**{**finished, **record}) is None
    # Records of before do not tell --fpmath.
    now = [{"sha256": "b", "fpmath": "float32"}, {"sha256": "a", "fpmath": "float32"}]
    reason = made_otherwise(**{**finished, "models": now})
    assert "was made by the models in another order; give --overwrite" in reason


@pytest.mark.parametrize(
    "asked", [None, 3, [], {"sha256": [], "options": 7}, {"sha256": {"ap": 7}}]
)
def test_odd_records_of_an_earlier_reconstruction_do_not_stop(finished, asked):
    record = {"models": [7], "mirror": None, "films": {"asked": asked}, "files": asked}
    (finished["folder"] / "reconstruction.json").write_text(json.dumps(record), encoding="utf-8")
    reason = made_otherwise(**finished)
    assert reason is None or "was made" in reason
    (finished["folder"] / "reconstruction.json").write_text("[", encoding="utf-8")
    assert made_otherwise(**finished) is None


def test_the_nifti_affine_is_ras(tmp_path):
    write_reconstruction(make_reconstruction(), tmp_path / "out", report=False)
    header = gzip.decompress((tmp_path / "out" / "ct.nii.gz").read_bytes())[:348]
    # srow_x, srow_y, srow_z of the NIfTI standard, which is RAS: x and y are negated.
    assert np.reshape(struct.unpack_from("<12f", header, 280), (3, 4)).tolist() == [
        [-2.5, 0, 0, 38.75],
        [0, -2.5, 0, 38.75],
        [0, 0, 2.5, -38.75],
    ]


def test_the_preview_shows_films_planes_and_outlines(tmp_path):
    for segmented in (True, False):
        out = tmp_path / str(segmented)
        write_reconstruction(make_reconstruction(segmented), out, report=False)
        image = imread(out / "preview.png")[..., :3]
        assert image.shape[1] > 3 * image.shape[0]
        panels = np.array_split(image[int(0.15 * len(image)) : int(0.85 * len(image))], 5, axis=1)
        # Each panel has a bright block and letters on black: no panel is empty or all black.
        assert all(0.01 < (panel.min(-1) > 0.6).mean() < 0.3 for panel in panels)
        coloured = [(np.ptp(panel, axis=-1) > 0.3).sum() > 30 for panel in panels]
        assert coloured == [False, False, segmented, segmented, segmented]


def test_the_films_are_drawn_as_the_model_gets_them(tmp_path):
    films = {view: 3 * film - 1 for view, film in block_films().items()}
    reconstruction = dataclasses.replace(make_reconstruction(), films=films)
    write_reconstruction(reconstruction, tmp_path / "out", report=False)
    expected = {view: film / 4 for view, film in block_films().items()}
    draw_films(tmp_path / "expected.png", expected, 2.5)
    assert (tmp_path / "out/films.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_an_output_without_films_png_may_be_replaced(tmp_path):
    for name in FILES:
        if name != "films.png":
            (tmp_path / name).write_text("earlier", encoding="utf-8")
    check_output(tmp_path)


def test_without_a_segmentation_no_file_of_it_is_left(tmp_path):
    write_reconstruction(make_reconstruction(), tmp_path / "out", report=False)
    write_reconstruction(make_reconstruction(segmented=False), tmp_path / "out", report=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_folder_may_be_deep_or_empty(tmp_path, monkeypatch):
    write_reconstruction(make_reconstruction(), tmp_path / "deep" / "out", report=False)
    assert (tmp_path / "deep" / "out" / "ct.nii.gz").exists()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_reconstruction(make_reconstruction(), ".", report=False)
    assert len(list((tmp_path / "here").iterdir())) == 7


@pytest.mark.parametrize("names", [["ct.nii.gz"], [*FILES, "notes.txt"]])
def test_a_folder_of_others_is_left_alone(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="holds other files; choose an empty output folder"):
        write_reconstruction(make_reconstruction(), tmp_path, report=False)
    assert {
        path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()
    } == dict.fromkeys(names, "mine")


def test_an_output_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="file: not a folder; choose another output folder"):
        check_output(tmp_path / "file")
    with pytest.raises(UserError, match=r"file: cannot be made \(.*\)"):
        write_reconstruction(make_reconstruction(), tmp_path / "file" / "out", report=False)
    check_output(tmp_path / "absent")


def test_a_mount_point_is_refused(tmp_path):
    (tmp_path / "out").symlink_to("/")
    with pytest.raises(UserError, match="out: a mount point, which cannot be replaced; name a"):
        check_output(tmp_path / "out")


def test_everything_that_was_written_may_be_replaced(tmp_path):
    ensemble = dataclasses.replace(
        make_reconstruction(), spread_hu=np.ones((SIZE,) * 3), uncertainty={}
    )
    write_reconstruction(ensemble, tmp_path / "out", dicom=True)
    names = names_in(tmp_path / "out")
    assert names == sorted(FILES + SEGMENTATION + REPORT + ["dicom", "spread_hu.nii.gz"])
    dicom = names_in(tmp_path / "out" / "dicom")
    assert dicom == ["segmentation.dcm", *(f"slice-{n:03d}.dcm" for n in range(1, SIZE + 1))]
    check_output(tmp_path / "out")
    (tmp_path / "out" / "dicom" / "slice-001.dcm.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="out: holds other files"):
        check_output(tmp_path / "out")


def test_without_a_vertebra_there_is_no_dicom_segmentation(tmp_path):
    nothing = np.zeros((SIZE,) * 3, np.uint8)
    empty = dataclasses.replace(make_reconstruction(), segmentation=nothing)
    write_reconstruction(empty, tmp_path / "out", report=False, dicom=True)
    assert len(names_in(tmp_path / "out" / "dicom")) == SIZE


def test_label_tables(tmp_path):
    write_reconstruction(make_reconstruction(), tmp_path / "out", report=False)
    # A line as ITK-SNAP reads it: index, red, green, blue, alpha, visible, mesh, "name".
    pattern = r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([\d.]+)\s+([01])\s+([01])\s+"(.*)"'
    lines = (tmp_path / "out" / "segmentation.label").read_text(encoding="utf-8").splitlines()
    snap = [re.fullmatch(pattern, line).groups() for line in lines if line[0] != "#"]
    lines = (tmp_path / "out" / "segmentation.ctbl").read_text(encoding="utf-8").splitlines()
    slicer = [line.split(" ") for line in lines if line[0] != "#"]
    assert snap[0] == ("0", "0", "0", "0", "0", "0", "0", "Clear Label")
    assert slicer[0] == ["0", "background", "0", "0", "0", "0"]
    names = ["C1", "C2", "C3", "C4", "C5", "C6", "C7"]
    for label, (name, ours, theirs) in enumerate(
        zip(names, snap[1:], slicer[1:], strict=True), start=1
    ):
        color = css_color(name)
        rgb = tuple(str(int(color[at : at + 2], 16)) for at in (1, 3, 5))
        assert ours == (str(label), *rgb, "1", "1", "1", name)
        assert theirs == [str(label), name, *rgb, "255"]


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("no ink")

    monkeypatch.setattr("xctrs_tf.evaluation.figures.case_figure.preview_figure", fail)
    with pytest.raises(ValueError, match="no ink"):
        write_reconstruction(make_reconstruction(), tmp_path / "out", report=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("private", "allowed"), [(True, (0o700, 0o600)), (False, (0o755, 0o644))])
def test_only_the_user_may_read_a_reconstruction_unless_it_is_shared(tmp_path, private, allowed):
    mask = os.umask(0o022)
    try:
        write_reconstruction(
            *(make_reconstruction(), tmp_path / "out"), dicom=True, private=private
        )
    finally:
        os.umask(mask)
    found = {(entry.is_dir(), entry.stat().st_mode & 0o777) for entry in tmp_path.rglob("*")}
    assert found == {(True, allowed[0]), (False, allowed[1])}
