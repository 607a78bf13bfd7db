"""Preparation of CTs without labels: --labels=auto of experiments.prepare."""

import json

import numpy as np
import pytest

from experiments.common.evaluated_models import loaded_run
from experiments.evaluate import evaluate_model
from tests.ct_segmentation.fake_segmenter import RECORD, FakeSegmenter, unsure
from tests.data.necks import write_neck
from tests.evaluation.patients import make_run
from tests.experiments.preparing import content, nifti_flags, prepare
from tests.programs import assert_refused, run_program
from xctrs_tf.ct_segmentation import model_labels, segmenter
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, choose_cohort


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


@pytest.fixture
def network(monkeypatch):
    """Return a function that puts a `FakeSegmenter` in the place of every network."""

    def put(**fields):
        names = []
        fake = FakeSegmenter(**fields)
        monkeypatch.setattr(
            segmenter, "load_segmenter", lambda model: (names.append(model), fake)[1]
        )
        model_labels._segmenter.cache_clear()
        return names

    yield put
    model_labels._segmenter.cache_clear()


def write_cts(folder, count):
    """Write necks without labels."""
    for number in range(count):
        write_neck(folder, f"p{number}", number)
        (folder / f"p{number}_seg.nii.gz").unlink()


def auto(folder, *flags):
    return prepare(*nifti_flags(folder), "--labels=auto", "--workers=1", "--spacing_mm=3", *flags)


def read_manifest(folder):
    return json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))


def test_cts_are_labelled_and_marked(folder, network):
    names = network(spoil=lambda fields, scan: scan.name == "p1" and unsure(fields, scan))
    write_cts(folder / "in", 4)
    result = auto(folder)
    assert (result.returncode, result.stderr) == (1, "")
    reason = "the network is unsure of its labels: levels uncertain; C3 and C4 are 40 mm apart"
    assert result.stdout.splitlines()[1:] == [
        "labels: model-made Dice; model-made by fake64, weights " + "ab" * 8,
        f"rejected p1: p1: {reason}",
    ]
    assert names == ["vertebrae64"]
    manifest = read_manifest(folder)
    assert manifest["labels"] == {"made_by": "model", "model": RECORD}
    assert manifest["label_name"] == "model-made Dice"
    assert [patient["id"] for patient in manifest["patients"]] == ["p0", "p2", "p3"]
    for patient in manifest["patients"]:
        assert patient["labels"] == {
            "made_by": "model",
            "name": "fake64",
            "weights_sha256": "ab" * 32,
        }
        assert patient["label_levels"] == "anchored at C1/C2"
        assert set(patient["label_confidence"].values()) == {0.9}
    assert manifest["rejected"] == [{"id": "p1", "reason": f"p1: {reason}"}]
    case = open_dataset(folder / "out").load("p0")
    assert sorted(np.unique(case.segmentation)) == list(range(8))


def test_the_same_command_goes_on_and_another_network_is_refused(folder, network):
    network()
    write_cts(folder / "in", 3)
    assert auto(folder).returncode == 0
    finished = content(folder / "out")
    network()
    assert auto(folder).returncode == 0
    assert content(folder / "out") == finished
    network(record={**RECORD, "weights_sha256": "cd" * 32})
    for flags in ([], ["--label_model=OTHER"]):
        result = auto(folder, *flags)
        assert result.returncode == 2
        assert "out: made with another origin or network of the labels; choose" in result.stderr
    for number in range(3):
        write_neck(folder / "in", f"p{number}", number)
    result = prepare(*nifti_flags(folder), "--workers=1", "--spacing_mm=3")
    assert "made with another origin or network of the labels" in result.stderr
    assert content(folder / "out") == finished


def test_the_network_is_the_one_that_is_named(folder, network):
    names = network()
    write_cts(folder / "in", 3)
    assert auto(folder, "--label_model=RUN").returncode == 0
    assert names == ["RUN"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source=nifti", "--labels=auto", "--label_name=Dice"], "--label_name=Dice: a network"),
        (["--source=nifti", "--label_model=x"], "--label_model: only with --labels=auto; leave"),
        (["--source=nifti", "--labels=here"], "--labels: only for dicom and openkbp; leave it"),
        (["--source=verse", "--labels=auto"], "--labels=auto: only for dicom, nifti, openkbp;"),
        (["--source=nifti", "--labels=auto", "--label_map=cervical"], "--label_map: --labels=auto"),
        (["--source=phantom", "--labels=auto"], "--labels: phantoms need none; leave it out"),
    ],
)
def test_mistakes_in_the_flags(folder, network, flags, message):
    network()
    write_cts(folder / "in", 1)
    source = [] if flags[0] == "--source=phantom" else [f"--input={folder / 'in'}"]
    result = prepare(*source, f"--output={folder / 'out'}", *flags)
    assert_refused(result, message, folder / "out")


def test_a_network_that_cannot_be_loaded_leaves_nothing(folder, monkeypatch):
    def missing(model):
        raise UserError(f"--model={model}: no such network")

    monkeypatch.setattr(segmenter, "load_segmenter", missing)
    model_labels._segmenter.cache_clear()
    write_cts(folder / "in", 1)
    assert_refused(auto(folder), "--label_model=vertebrae64: no such network", folder / "out")


def test_no_ct_is_usable(folder, network):
    network(spoil=unsure)
    write_cts(folder / "in", 2)
    result = auto(folder)
    assert result.returncode == 2
    assert "no usable patient: p0: the network is unsure of its labels" in result.stderr
    assert not list(folder.glob("out/**/*.npz"))


def test_what_is_made_from_the_folder_says_so(folder, network):
    network()
    write_cts(folder / "in", 5)
    assert auto(folder).returncode == 0
    assert prepare(f"--check={folder / 'out'}").returncode == 0
    page = (folder / "out" / "check" / "index.html").read_text(encoding="utf-8")
    assert "Labels: model-made by fake64; no expert checked them." in page
    dataset = open_dataset(folder / "out")
    case = dataset.load(dataset.split(0).test[0])
    ct = normalise_hu(case.ct)[None, ..., None]
    probabilities = np.eye(8, dtype="float32")[case.segmentation][None]
    model = loaded_run(make_run(lambda films: ct, lambda volume: probabilities))
    cohort = choose_cohort(dataset, [Training(dataset.content_hash(), 0)], "test")
    output = folder / "figures"
    with pytest.raises(UserError, match="--label_name=Dice: a network made these labels"):
        evaluate_model(model, cohort, output, label_name="Dice")
    assert not output.exists()
    output.mkdir()
    printed = evaluate_model(model, cohort, output)
    table = (output / "table.md").read_text(encoding="utf-8")
    for text in (printed, table):
        assert "model-made Dice (%)" in text
        assert "model-made: a network made the labels of these patients" in text
    origin = json.loads((output / "cases.json").read_text(encoding="utf-8"))
    assert origin["dice_name"] == "model-made Dice"
    for name in ("cases.csv", "baselines.csv"):
        heading, *lines = (output / name).read_text(encoding="utf-8").splitlines()
        assert heading.endswith(",labels") and lines
        assert all(line.endswith(",model-made") for line in lines)


def test_cross_validation_takes_no_name_that_hides_it(folder, network):
    network()
    write_cts(folder / "in", 5)
    assert auto(folder).returncode == 0
    flags = ("--rows=table1-spadrnet", "--preset=demo", "--size=32", f"--data={folder / 'out'}")
    result = run_program(
        "cross_validate", *flags, f"--workdir={folder / 'RUNS'}", "--label_name=Dice"
    )
    assert_refused(result, "--label_name=Dice: a network made these labels", folder / "RUNS")
