import json

import numpy as np
import pytest

from experiments.studies import finder_error
from tests.data.cases import deal_anew, write_dataset
from tests.programs import assert_refused, run_program
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.neck_finder import finder_network, neck_search, pair_crops, training_windows

FILMS = {"a": dict.fromkeys(VIEWS, ())}


@pytest.fixture
def pairs(monkeypatch):
    """Pairs of which each is refused."""

    def refuse(*arguments):
        raise UserError("films: no neck; name a crop box")

    monkeypatch.setattr(training_windows, "TrainingWindows", lambda films: films)
    monkeypatch.setattr(finder_error, "_opened", lambda *arguments: (None, None))
    monkeypatch.setattr(pair_crops, "propose_crops", refuse)


def parse(*flags):
    finder_error.FLAGS(["program", "--scans=SCANS", "--data=DATA", *flags])


@pytest.mark.usefixtures("pairs")
def test_pairs_that_are_all_refused_have_no_errors(capsys):
    parse("--num_pairs=2")
    finder_error._report_pairs(FILMS, None)
    assert capsys.readouterr().out.splitlines() == [
        "pairs: 2, of which 2 are refused",
        "  2 times: films: no neck",
    ]


@pytest.mark.usefixtures("pairs")
def test_no_pairs_and_no_other_pictures(capsys):
    parse("--num_pairs=0", "--num_others=0")
    finder_error._report_pairs(FILMS, None)
    finder_error._report_others(None)
    assert capsys.readouterr().out.splitlines() == ["pairs: 0, of which 0 are refused"]


def test_the_spread_of_no_films_is_none():
    assert finder_error._spread(np.zeros(0)) == "none"
    assert finder_error._spread(np.array([-3.0, 1.0])).startswith("median   2.00")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Data folder, and a call of the program that ends before it projects films."""
    folder = write_dataset(tmp_path / "data")
    monkeypatch.setattr(finder_network, "load_finder", lambda path: None)
    monkeypatch.setattr(neck_search, "finder_network", lambda: None)
    monkeypatch.setattr(finder_error, "PreparedScans", lambda *arguments: None)
    monkeypatch.setattr(finder_error, "films_of", lambda *arguments: FILMS["a"])
    for report in ("_report", "_report_pairs", "_report_others"):
        monkeypatch.setattr(finder_error, report, lambda *arguments: None)

    def run(*flags):
        given = (f"--scans={tmp_path}", f"--data={folder}", *flags)
        return run_program("studies.finder_error", *given)

    return folder, run


def weights_of(path, *trainings):
    """Write weights of the finder that went through these trainings."""
    arrays = {"trainings": np.array(json.dumps(trainings))}
    np.savez(path, **arrays, neck_height_mm=110.0)
    return f"--weights={path}"


def training_on(folder, fold):
    dataset = open_dataset(folder)
    told = {"fold": fold, "data_sha256": dataset.content_hash()}
    return {**told, "split_sha256": dataset.split_hash(fold)}


def test_patients_that_were_held_out_are_tested_without_a_word(study, tmp_path):
    folder, run = study
    given = weights_of(tmp_path / "w.npz", training_on(folder, 1))
    for split in ("test", "validation"):
        finished = run(given, "--fold=1", f"--split={split}")
        assert (finished.returncode, finished.stderr) == (0, "")


def test_training_patients_are_refused(study, tmp_path):
    folder, run = study
    # The last training was right, but it began with weights of another fold.
    both = weights_of(tmp_path / "w.npz", training_on(folder, 3), training_on(folder, 1))
    # Of these, p1 is a validation patient of fold 3.
    told = "w.npz: trained on 1 of these 2 patients, such as p6: fold 3 was held out; give --fold=3"
    assert_refused(run(both, "--fold=1"), told)


def test_patients_that_were_dealt_anew_are_refused(study, tmp_path):
    folder, run = study
    training = {**training_on(folder, 1), "split_sha256": "0" * 64}
    given = weights_of(tmp_path / "w.npz", training)
    assert_refused(run(given, "--fold=1"), "have been dealt to other folds since")
    # The same fold under another number.
    given = weights_of(tmp_path / "w.npz", training_on(folder, 1))
    deal_anew(folder)
    assert run(given, "--fold=0").stderr == ""
    assert_refused(run(given, "--fold=1"), "fold 0 was held out; give")


@pytest.mark.parametrize("packaged", [True, False])
def test_weights_that_do_not_tell_are_a_warning(study, tmp_path, packaged):
    folder, run = study
    other = training_on(write_dataset(tmp_path / "other", num_patients=12), 0)
    file = tmp_path / "w.npz"
    given = [] if packaged else [weights_of(file, None, other, training_on(folder, 0))]
    finished = run(*given)
    named = "the weights of the package" if packaged else f"--weights={file}"
    told = f"it is not known whether {named} were trained on some of these 2 patients"
    assert (finished.returncode, finished.stderr) == (0, f"WARNING: {told}\n")
