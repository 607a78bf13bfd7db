import dataclasses
import json
import math
import pathlib

import numpy as np
import pydicom
import pytest

from xctrs_tf import __version__
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.pair.film_pair import FilmPair, OpenFilm
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.pretrained import pretrained_folder
from xctrs_tf.quality.verdict import Verdict
from xctrs_tf.reconstruction import Reconstruction
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.report.dicom_ct import ct_series
from xctrs_tf.report.provenance_record import (
    film_lines,
    model_record,
    model_sentences,
    overridden_checks,
    provenance_record,
)
from xctrs_tf.report.report import write_report
from xctrs_tf.report.training_summary import describe_training, training_lines, verdict_lines

METADATA = {
    "method": "SpaDRNet + MulSISNet",
    "size": 64,
    "spacing_mm": 2.5,
    "step": 400,
    "stages": [{"source": "first", "steps": 1200, "folders": [{"sources": [{"source": "x"}]}]}],
    "data": {"sources": [{"source": "OpenKBP"}], "patients": {"training": 75}},
    "metrics": {
        "means": {"psnr": 22.74, "ssim": 0.699, "dice_mean": 0.6928},
        "patients": 10,
        "dice_name": "pseudo-label Dice",
    },
}
SENTENCE = (
    "toy 3, SpaDRNet + MulSISNet, 64^3 voxels of 2.5 mm; trained for 1,200 steps on x, then "
    "400 steps on 75 patients (OpenKBP); on its 10 test patients PSNR 22.7 dB, SSIM 0.70, "
    "pseudo-label Dice 69.3 %."
)
BOX, USED = (310, 120, 1510, 1320), (310, 100, 1510, 1300)


@pytest.fixture
def pair():
    """Return a pair of which the LA film was turned and moved, and nothing was checked."""
    raw = RawFilm(np.zeros((4, 4)))
    frames = {
        "ap": FilmFrame(BOX),
        "la": FilmFrame(BOX, flip_horizontal=True, invert=True, rotate_deg=-2.5),
    }
    opened = {
        view: OpenFilm(pathlib.Path(f"/home/Doe^Jane/{view}.dcm"), raw, frame)
        for view, frame in frames.items()
    }
    boxes = {"ap": BOX, "la": BOX}
    return FilmPair(opened, frames, boxes=boxes, used_boxes={**boxes, "la": USED}, checked=False)


@pytest.fixture
def reconstruction():
    return Reconstruction(
        np.zeros((3, 3, 3), np.int16),
        None,
        2.5,
        (0.0, 0.0, 0.0),
        models=(model_record("toy", METADATA, "3", "ab" * 32),),
        date="2026-11-29T08:51:44+00:00",
    )


def test_labels_that_a_network_made_are_named_with_the_training():
    made = {"source": "OpenKBP", "labels": "model-made by NET"}
    name = "OpenKBP (labels model-made by NET)"
    metadata = {**METADATA, "data": {**METADATA["data"], "sources": [made]}}
    assert f"on 75 patients ({name})" in model_sentences(model_record("toy", metadata, 3))
    metadata["data"]["label_name"] = "model-made Dice"
    assert f"(source: {name})" in describe_training(metadata)
    assert "Overlap with the patients' labels: model-made Dice." in describe_training(metadata)
    # Where the data folder was gone, only the record of the run tells its data.
    alone = {"data": None, "folders": [{"sources": [made]}]}
    assert f"(source: {name})" in describe_training(alone)


def test_all_data_of_a_training_and_of_those_before_it_are_told():
    folders = [
        {"sources": [{"source": name}], "training_patients": count}
        for name, count in (("OpenKBP", 75), ("second", 30))
    ]
    stages = [
        {"source": "first", "steps": 800, "folders": [{"sources": [{"source": "phantom"}]}]},
        {"source": "small", "steps": 700, "folders": [{"sources": [{"source": "openkbp"}]}]},
        {"source": "capital", "steps": 900, "folders": [{"sources": [{"source": "OpenKBP"}]}]},
        {"source": "weights.h5"},
        {"source": "same", "steps": 5000, "folders": folders},
    ]
    metadata = {**METADATA, "folders": folders, "stages": stages}
    assert (
        "trained for 800 steps on phantom, then 700 + 900 steps on openkbp, then an unknown number "
        "of steps on data not stated, then 5,000 + 400 steps on OpenKBP, second (the last on 105 "
        "patients); "
    ) in model_sentences(model_record("toy", metadata))
    assert "trained on 105 patients (source: OpenKBP, second)" in describe_training(metadata)
    # Not every folder tells its patients.
    del folders[1]["training_patients"]
    assert "trained on an unknown number of patients" in describe_training(metadata)


def test_a_model_is_named_with_its_training_and_figures():
    assert model_sentences(model_record("toy", METADATA, "3")) == SENTENCE
    served = model_sentences(model_record("toy", None, server="host:8500"))
    assert served.startswith(
        "toy on host:8500, voxels; trained for an unknown number of steps on an unknown number of "
        "patients (source not stated); "
    )
    assert served.endswith("it has no figures of test patients.")
    assert " for 1 step on " in model_sentences(model_record("toy", {"step": 1}))


def test_steps_that_no_training_has_are_left_out():
    for step in (10**400, math.inf, math.nan, True, "7"):
        assert model_record("toy", {"step": step})["steps"] is None


def test_every_model_of_several_is_told_once_with_its_own_training(tmp_path, reconstruction):
    other = {
        **METADATA,
        "data": {
            "sources": [{"source": "phantom"}],
            "patients": {"training": 162},
            "projection": {"geometry": "cone"},
        },
        "training": {"augment": ""},
        "film_normalization": "equalized",
    }
    models = (reconstruction.models[0], model_record("second", other))
    first, second = training_lines(METADATA, models)
    assert first.startswith(SENTENCE) and "phantom" not in first
    assert second.startswith("second, ") and "400 steps on 162 patients (phantom); " in second
    assert second.endswith(
        "Its films were computed from the CTs along the rays of a cone; no real film was among "
        "them. Films are normalised by equalized; augmentation: none."
    )
    films = dict.fromkeys(("ap", "la"), np.random.default_rng(0).random((3, 3)))
    together = dataclasses.replace(reconstruction, models=models, metadata=METADATA)
    verdict = write_report(tmp_path, together, films)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert record["training"].split("\n") == [first, second]
    for text in (first, second):
        assert page.count(f"<p>{text}</p>") == 1
    for text in ("on 75 patients", "on 162 patients", "no real film", "equalized"):
        assert page.count(text) == (2 if text == "no real film" else 1)
    assert verdict_lines(verdict, METADATA, models)[:2] == [first, second]


def test_metadata_of_anyone_become_plain_values():
    odd = {
        "method": ["x"],
        "size": True,
        "spacing_mm": math.nan,
        "step": "many",
        "stages": {"a": 1},
        "data": [],
        "metrics": {"means": {"psnr": math.inf, "ssim": None}, "patients": [1]},
    }
    record = model_record("a\x1b[31m\nb", odd)
    json.dumps(record, allow_nan=False)
    assert model_sentences(record).startswith("a?[31m")
    assert (record["size"], record["steps"], record["stages"]) == (None, None, [])
    assert record["test"] == dict.fromkeys(record["test"])


def test_the_shipped_model_is_named_with_its_hash():
    record = find_export("neck64").record()
    assert (record["name"], record["version"], record["size"]) == ("neck64", None, 64)
    file = pretrained_folder("neck64") / "assets.extra" / "metadata.json"
    assert record["test"]["psnr"] == json.loads(file.read_text("utf-8"))["metrics"]["means"]["psnr"]
    assert len(record["sha256"]) == 64 and record["training_patients"] > 50


def test_films_are_told_with_boxes_and_turns(pair):
    assert film_lines(pair.record()) == {
        "ap": "/home/Doe^Jane/ap.dcm: box 310,120,1510,1320",
        "la": "/home/Doe^Jane/la.dcm: box 310,100,1510,1300 (asked for: 310,120,1510,1320), "
        "left and right exchanged, grey values inverted, rotated clockwise by -2.5 degrees",
    }
    assert film_lines(None) == {}


def test_turns_by_the_header_are_told_and_recorded(pair):
    raw = RawFilm(np.zeros((4, 4)), flip_horizontal=True, flip_vertical=True, inverted=True)
    opened = {view: dataclasses.replace(each, raw=raw) for view, each in pair.opened.items()}
    record = dataclasses.replace(pair, opened=opened).record()
    used = ("used_flip_horizontal", "used_flip_vertical", "used_invert")
    assert [record["ap"][name] for name in used] == [True, True, True]
    # The flags of the LA film undo what its header says.
    assert [record["la"][name] for name in used] == [False, True, False]
    lines = film_lines(record)
    assert lines["ap"].endswith("left and right exchanged, top and bottom exchanged")
    assert "left" not in lines["la"] and "top and bottom exchanged" in lines["la"]


@pytest.mark.parametrize(
    ("found", "said"),
    [({"crop_box": list(BOX), "score": 9.0}, True), ({"score": 0.2}, False), (None, False)],
)
def test_only_a_box_that_was_found_is_told_as_found(pair, found, said):
    opened = {**pair.opened, "ap": dataclasses.replace(pair.opened["ap"], found=found)}
    line = film_lines(dataclasses.replace(pair, opened=opened).record())["ap"]
    assert line.endswith(", found by the program") == said


def test_checks_that_were_not_made_are_told(pair, reconstruction):
    passed = Verdict("pass", [], {}, {})
    record = provenance_record(dataclasses.replace(reconstruction, pair=pair))
    assert [line.partition(":")[0] for line in overridden_checks(record)] == [
        "--nocheck_views",
        "the quality checks were not made",
    ]
    checked = dataclasses.replace(reconstruction, pair=dataclasses.replace(pair, checked=True))
    assert overridden_checks(provenance_record(checked, passed)) == []
    (line,) = overridden_checks(provenance_record(reconstruction, passed))
    assert line.startswith("the films were given as arrays")


def test_the_report_tells_what_made_it(tmp_path, pair, reconstruction):
    films = dict.fromkeys(("ap", "la"), np.random.default_rng(0).random((3, 3)))
    reconstruction = dataclasses.replace(reconstruction, metadata=METADATA, pair=pair)
    write_report(tmp_path, reconstruction, films)
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (record["program"], record["date"]) == (f"xctrs_tf {__version__}", reconstruction.date)
    assert record["models"] == list(reconstruction.models)
    assert record["checks"] == {"views": False, "quality": record["quality"]["verdict"]}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in (
        f"<p>{SENTENCE} Its films were computed from the CTs; no real film was among them. ",
        f"<td>toy 3, sha256 {'ab' * 32}</td>",
        "/home/Doe^Jane/la.dcm: box 310,100,1510,1300",
        "--nocheck_views",
        f"xctrs_tf {__version__}, 2026-11-29T08:51:44+00:00",
    ):
        assert text in page


def test_dicom_files_tell_what_made_them(pair, reconstruction):
    verdicts = {level: Verdict(level, [], {}, {}) for level in ("pass", "fail")}
    reconstruction = dataclasses.replace(reconstruction, pair=pair)
    provenances = {level: provenance_record(reconstruction, verdicts[level]) for level in verdicts}
    images = {
        level: ct_series(reconstruction.ct_hu, 2.5, (0,) * 3, None, provenances[level])[0]
        for level in provenances
    }
    said = {level: image.SeriesDescription for level, image in images.items()}
    assert said == {
        "pass": "Reconstructed from two X-ray films",
        "fail": "QUALITY CHECKS FAILED: Reconstructed from two X-ray films",
    }
    image = images["pass"]
    assert (image.Manufacturer, image.ManufacturerModelName) == ("xctrs_tf", "toy")
    assert image.SoftwareVersions == __version__ and image.InstanceCreationDate == "20261129"
    derivation = image.DerivationDescription
    assert f"Model {SENTENCE}" in derivation and "Not checked: --nocheck_views" in derivation
    assert "AP film box 310,120,1510,1320." in derivation
    # Films may be named after their patients.
    assert "Doe" not in derivation
    patient = pydicom.Dataset()
    named = ct_series(reconstruction.ct_hu, 2.5, (0,) * 3, patient, provenances["pass"])[0]
    assert "AP film /home/Doe^Jane/ap.dcm: box 310" in named.DerivationDescription
    assert len({each.SeriesInstanceUID for each in images.values()}) == 2


def test_long_names_fit_into_dicom(pair, reconstruction):
    models = tuple(model_record("\\".join("abc") * 20, METADATA) for _ in range(9))
    many = dataclasses.replace(reconstruction, models=models, pair=pair)
    (image, *_) = ct_series(many.ct_hu, 2.5, (0,) * 3, None, provenance_record(many))
    assert len(image.ManufacturerModelName) <= 64 and "a/b/c" in image.ManufacturerModelName
    derivation = image.DerivationDescription
    assert len(derivation) == 1024 and derivation.endswith(" ...")
    # What was not checked, and the films, stand before what is cut off.
    assert "Not checked: --nocheck_views" in derivation
    assert "AP film box 310" in derivation and "LA film box 310" in derivation
