"""experiments.segment.pack: what travels with the weights, and what is refused."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from experiments.segment import pack
from experiments.segment.evaluate import evaluate_segmenter
from experiments.segment.trained_patients import choose_patients, read_trained_on
from tests.data.cases import deal_anew
from tests.experiments.segment.segmented_data import (
    SEGMENTING,
    TrueSegmenter,
    earlier_training,
    told,
    write_boxes,
    write_phantoms,
    write_segmenting_run,
)
from tests.programs import ROOT, assert_refused, run_program
from xctrs_tf.ct_segmentation.segmentation_network import load_network
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.patient import write_cases_csv
from xctrs_tf.export import saved_model
from xctrs_tf.models.catalogue import NETWORKS
from xctrs_tf.pretrained import EXPORTED_WEIGHTS, pretrained_folder
from xctrs_tf.reconstruction.export_files import check_files, read_metadata
from xctrs_tf.training import checkpoints
from xctrs_tf.training.run import build_networks
from xctrs_tf.training.run_folder import earlier_stages


@pytest.fixture(scope="module", autouse=True)
def _toy_network():
    path = "tests.experiments.segment.segmented_data:toy_network"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "mulsisnet", dataclasses.replace(NETWORKS["mulsisnet"], path=path))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of a run with untrained weights, its data and phantoms, and evaluations of both."""
    folder = tmp_path_factory.mktemp("packing")
    data = write_boxes(folder / "data")
    phantoms = write_boxes(folder / "phantoms", images="phantom", keep_scan=False)
    run = write_segmenting_run(folder / "run", data, phantoms)
    save_weights(run)
    trained_on = read_trained_on(run)
    for dataset, name in ((data, "figures"), (phantoms, "phantom-figures")):
        segmenter = TrueSegmenter(dataset, **load_network(run).record)
        (folder / name).mkdir()
        evaluate_segmenter(segmenter, choose_patients(dataset, trained_on), folder / name)
    return folder


def held_out(folder):
    """Return the validation patients of the run; its test patients are p1 and p6."""
    return open_dataset(folder / "data").split(1).validation


def save_weights(run):
    policy = keras.config.dtype_policy()
    networks = build_networks(SEGMENTING)
    keras.config.set_dtype_policy(policy)
    checkpoints.save(run / "best", networks, {}, {"step": 7})


def pack_run(folder, output, *flags, evaluations=("figures",), run="run"):
    given = [f"--evaluation={folder / name}" for name in evaluations]
    given += [f"--workdir={folder / run}", f"--output={output}"]
    notice = f"--notice={pretrained_folder('vertebrae64') / 'NOTICE'}"
    return run_program("segment.pack", *given, f"--license={ROOT / 'LICENSE'}", notice, *flags)


@pytest.fixture(scope="module")
def packed(folder):
    both = ("figures", "phantom-figures")
    result = pack_run(folder, folder / "packed", evaluations=both)
    assert result.returncode == 0, result.stderr
    assert "MB of weights" in result.stdout
    return folder / "packed"


def test_the_folder_is_an_export_of_weights(packed):
    metadata = read_metadata(packed)
    check_files(packed, metadata)
    assert metadata["checksums"]
    assert sorted(path.name for path in packed.iterdir()) == ["LICENSE", "NOTICE", "assets.extra"]
    with np.load(packed / EXPORTED_WEIGHTS) as arrays:
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype("float16")}
    assert "vertebrae64" in (packed / "NOTICE").read_text(encoding="utf-8")


def test_the_network_is_that_of_the_run(folder, packed):
    ours, theirs = load_network(packed), load_network(folder / "run")
    cube = np.random.default_rng(1).random((1, 32, 32, 32, 1), np.float32)
    difference = np.abs(ours(cube) - theirs(cube)).max()
    assert 0 < difference < 0.01
    assert (ours.size, ours.spacing_mm) == (32, 4.0)
    written = read_metadata(packed)["weights"]
    assert written["quantize"] == "float16"
    assert 0 < written["largest_differences"]["segmentation: segmentation"] < 0.01


@pytest.mark.parametrize(("maker", "judged"), [("run", "packed"), ("packed", "run")])
def test_labels_that_it_made_before_or_after_packing_are_refused(
    folder, packed, tmp_path, maker, judged
):
    records = {name: load_network(folder / name).record for name in ("run", packed.name)}
    assert len({record["weights_sha256"] for record in records.values()}) == 2
    labels = {"made_by": "model", "model": records[maker]}
    made = write_boxes(tmp_path / "made", labels=labels, keep_scan=False, count=5)
    cohort = choose_patients(made, read_trained_on(packed))
    with pytest.raises(UserError, match="this model made its labels"):
        evaluate_segmenter(TrueSegmenter(made, **records[judged]), cohort, tmp_path / "figures")
    # Two runs or two exports may differ in what they do not tell, and others in what they do.
    judge = records[judged]
    others = [
        {**judge, "weights_sha256": "v" * 64, "sha256": records[maker]["sha256"]},
        {**judge, "stages": [{"name": "cubes", "steps": 7}]},
        {**judge, "seed": 3},
        {**judge, "training_films": {**judge["training_films"], "augment": "mirror"}},
    ]
    for number, other in enumerate(others):
        output = tmp_path / f"figures{number}"
        output.mkdir()
        evaluate_segmenter(TrueSegmenter(made, **other), cohort, output)


def test_an_export_of_the_run_is_a_model_of_experiments_segment(folder, tmp_path):
    output = tmp_path / "models"
    result = run_program(
        "export", f"--workdir={folder / 'run'}", f"--output={output}", "--format=weights"
    )
    assert result.returncode == 0, result.stderr
    # Its quality checks are those of experiments.segment.
    assert "quality.json" not in result.stderr
    ours, theirs = load_network(output), load_network(folder / "run")
    cube = np.random.default_rng(1).random((1, 32, 32, 32, 1), np.float32)
    np.testing.assert_allclose(ours(cube), theirs(cube), atol=1e-5)
    assert ours.record["weights_sha256"] == theirs.record["weights_sha256"]
    card = (output / "1" / "assets.extra" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| data 2 | 7 patients (test, none), hash " in card


def test_figures_and_patients_travel_with_the_weights(packed):
    metadata = read_metadata(packed)
    assert metadata["step"] == 7
    assert metadata["metrics"]["split"] == "test"
    assert (metadata["metrics"]["patients"], metadata["metrics"]["trained_on"]) == (2, 0)
    assert metadata["metrics"]["dice_name"] == "pseudo-label Dice"
    assert metadata["metrics"]["means"]["identified_mean"] == 1
    assert [each["sources"][0]["source"] for each in metadata["evaluations"]] == ["test", "test"]
    assert metadata["held_out"]["test"] == ["p1", "p6"]
    # Scan and files of seven of each folder.
    assert len(metadata["trained_images"]) == 2 * 14
    # No folder of the machine that trained it.
    assert str(packed.parent) not in json.dumps(metadata)
    card = (packed / "assets.extra" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| test patients | p1, p6 |" in card
    assert "| C3 | 100.0 | 0.0 | 100.0 | 0.0 |" in card
    assert card.count("| pseudo-label Dice, % |") == 2


def test_the_packed_network_knows_its_training_patients(folder, packed):
    # Eight of the ten scans, by other crops.
    some = write_boxes(folder / "some", keep_scan=False, count=8)
    trained = sorted({"p0", "p2", "p3", "p4", "p5", "p7"} - set(held_out(folder)))
    cohort = choose_patients(some, read_trained_on(packed))
    assert (cohort.split, cohort.trained_on) == ("all", len(trained))


def test_earlier_trainings_are_listed_as_far_as_known(folder, tmp_path):
    data = open_dataset(folder / "data")
    validation = held_out(folder)
    # Trained on the validation patient of the run, and on data that are not at hand.
    fold = next(n for n in range(5) if set(validation) & set(data.split(n).training))
    stages = [
        earlier_training(fold, told(data, fold)),
        earlier_training(0, {**told(data, 0), "data_sha256": "a" * 64}),
    ]
    run = write_segmenting_run(tmp_path / "run", data, stages=stages)
    save_weights(run)
    segmenter = TrueSegmenter(data, **load_network(run).record)
    cohort = choose_patients(data, read_trained_on(run))
    assert cohort.trained_on is None
    (tmp_path / "figures").mkdir()
    evaluate_segmenter(segmenter, cohort, tmp_path / "figures")
    result = pack_run(folder, tmp_path / "packed", evaluations=(tmp_path / "figures",), run=run)
    assert result.returncode == 0, result.stderr
    metadata = read_metadata(tmp_path / "packed")
    trained = {*data.split(1).training, *data.split(fold).training}
    assert len(metadata["trained_images"]) == 2 * len(trained) > 2 * 7
    # Patients that are not listed may have been trained on.
    other = write_boxes(tmp_path / "other", images="other", keep_scan=False)
    cohort = choose_patients(other, read_trained_on(tmp_path / "packed"))
    assert cohort.trained_on is None and "is not known" in cohort.warning()
    card = (tmp_path / "packed" / "assets.extra" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "it is not known how many were trained on" in card
    assert "| earlier training 2 |" in card


def test_a_network_that_began_with_a_packed_one_knows_its_patients_too(folder, packed, tmp_path):
    first = tmp_path / "first"
    shutil.copytree(packed, first)
    mine = write_boxes(tmp_path / "mine", images="mine", count=9)
    run = write_segmenting_run(
        tmp_path / "run",
        mine,
        stages=earlier_stages([str(first)]),
        initial_weights=str(first),
    )
    save_weights(run)
    (tmp_path / "figures").mkdir()
    segmenter = TrueSegmenter(mine, **load_network(run).record)
    cohort = choose_patients(mine, read_trained_on(run))
    evaluate_segmenter(segmenter, cohort, tmp_path / "figures")
    # The necks of the first network, prepared in another way.
    same = write_boxes(tmp_path / "same", keep_scan=False, count=8)
    other = write_boxes(tmp_path / "other", images="other", keep_scan=False, count=8)
    trained = {*same.ids} & {*open_dataset(folder / "data").split(1).training}
    for output, seen, unseen, words in (
        ("packed", len(trained), 0, "6 of these 9"),
        # Without the first network its list is gone.
        ("packed again", None, None, "at least 6 of these 9"),
    ):
        result = pack_run(folder, tmp_path / output, evaluations=(tmp_path / "figures",), run=run)
        assert result.returncode == 0, result.stderr
        trained_on = read_trained_on(tmp_path / output)
        found = [choose_patients(data, trained_on).trained_on for data in (same, other)]
        assert found == [seen, unseen]
        assert (
            choose_patients(mine, trained_on, "all").warning().startswith(f"{words} patients are")
        )
        shutil.rmtree(first, ignore_errors=True)


def test_phantoms_of_an_earlier_training_are_not_denied(folder, tmp_path):
    phantoms = write_phantoms(tmp_path / "phantoms", "fine")
    data = open_dataset(folder / "data")
    stages = [earlier_training(1, told(phantoms, 1))]
    run = write_segmenting_run(tmp_path / "run", data, stages=stages)
    save_weights(run)
    (tmp_path / "figures").mkdir()
    segmenter = TrueSegmenter(data, **load_network(run).record)
    evaluate_segmenter(segmenter, choose_patients(data, read_trained_on(run)), tmp_path / "figures")
    result = pack_run(folder, tmp_path / "packed", evaluations=(tmp_path / "figures",), run=run)
    assert result.returncode == 0, result.stderr
    trained_on = read_trained_on(tmp_path / "packed")
    # The same phantoms on other voxels.
    cohort = choose_patients(write_phantoms(tmp_path / "coarse", "coarse", count=8), trained_on)
    assert cohort.trained_on is None and "is not known" in cohort.warning()
    # No neck of the run's own data is a phantom.
    assert choose_patients(data, trained_on).trained_on == 0
    assert choose_patients(data, trained_on, "all").trained_on == 7


def test_an_earlier_folder_is_replaced_and_a_foreign_one_kept(folder, packed, tmp_path):
    copy = tmp_path / "packed"
    shutil.copytree(packed, copy)
    (copy / "old").touch()
    assert pack_run(folder, copy).returncode == 0
    assert not (copy / "old").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    result = pack_run(folder, tmp_path / "other")
    assert result.returncode == 2 and "holds other files" in result.stderr
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["file"]


def test_folds_that_were_dealt_anew_are_refused(folder, tmp_path):
    manifest = folder / "phantoms" / "manifest.json"
    before = manifest.read_bytes()
    deal_anew(manifest.parent)
    try:
        result = pack_run(folder, tmp_path / "packed")
    finally:
        manifest.write_bytes(before)
    assert_refused(result, "phantoms: has changed since", tmp_path / "packed")


def test_figures_of_phantoms_alone_are_refused(folder, tmp_path):
    result = pack_run(folder, tmp_path / "packed", evaluations=("phantom-figures",))
    assert_refused(result, "not of the test patients of fold 1", tmp_path / "packed")


def test_figures_of_patients_that_were_trained_on_are_refused(folder, tmp_path):
    figures = tmp_path / "figures"
    shutil.copytree(folder / "figures", figures)
    record = json.loads((figures / "cases.json").read_text(encoding="utf-8"))
    (figures / "cases.json").write_text(json.dumps({**record, "trained_on": 1}), encoding="utf-8")
    result = pack_run(folder, tmp_path / "packed", evaluations=(figures,))
    assert_refused(result, "not of the test patients of fold 1", tmp_path / "packed")


def test_figures_of_other_weights_are_refused(folder, tmp_path):
    figures = tmp_path / "figures"
    shutil.copytree(folder / "figures", figures)
    record = json.loads((figures / "cases.json").read_text(encoding="utf-8"))
    record["model"]["weights_sha256"] = "e" * 64
    (figures / "cases.json").write_text(json.dumps(record), encoding="utf-8")
    result = pack_run(folder, tmp_path / "packed", evaluations=(figures,))
    assert_refused(result, "of other weights than the best ones", tmp_path / "packed")


def test_half_an_evaluation_is_refused(folder, tmp_path):
    result = pack_run(folder, tmp_path / "packed", evaluations=("absent",))
    told = "cases.json: missing; run experiments.segment.evaluate"
    assert_refused(result, told, tmp_path / "packed")
    figures = tmp_path / "figures"
    shutil.copytree(folder / "figures", figures)
    (figures / "cases.csv").write_text("id,dice_mean\np1,0.5\n", encoding="utf-8")
    result = pack_run(folder, tmp_path / "packed", evaluations=(figures,))
    assert_refused(result, "damaged (1 of 2 patients)", tmp_path / "packed")


def test_figures_against_labels_of_a_network_have_means(tmp_path):
    rows = [{"id": f"p{number}", "dice_mean": 0.5 + 0.1 * number} for number in range(2)]
    record = {"model": {}, "split": "test", "dice_name": "model-made Dice", "n": 2, "sources": []}
    write_cases_csv(tmp_path / "cases.csv", rows, record)
    assert pack._read_evaluation(tmp_path)["means"] == {"dice_mean": pytest.approx(0.55)}


def test_the_notice_of_the_package_is_not_that_of_other_data(folder, tmp_path):
    assert_refused(pack_run(folder, tmp_path / "packed", "--notice="), "--notice: trained on data")


def test_too_large_weights_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "MAX_BYTES", 100)
    result = pack_run(folder, tmp_path / "packed")
    assert_refused(result, "MB of weights; at most", tmp_path / "packed")


def test_16_bits_that_change_the_answer_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(saved_model.QUANTIZED_TOLERANCE, "float16", 1e-9)
    result = pack_run(folder, tmp_path / "packed")
    assert_refused(result, "segmentation differs by", tmp_path / "packed")


def test_a_run_that_reconstructs_is_refused(folder, tmp_path):
    data = write_boxes(tmp_path / "data", keep_scan=False)
    write_segmenting_run(tmp_path / "run", data, reconstruction="spadrnet")
    result = pack_run(folder, tmp_path / "packed", run=tmp_path / "run")
    assert_refused(result, "reconstructs from films", tmp_path / "packed")
