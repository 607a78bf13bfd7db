import numpy as np

from experiments.studies import view_check_rates
from tests.data.cases import write_dataset
from tests.programs import assert_refused, run_program
from xctrs_tf.data.films.pair import film_pair
from xctrs_tf.data.films.pair.view_check import ViewJudgement


def test_every_kind_of_pair_is_counted(tmp_path):
    write_dataset(tmp_path / "set", num_patients=4, num_folds=2)
    result = run_program("studies.view_check_rates", f"--data={tmp_path / 'set'}", "--fold=0")
    assert result.returncode == 0, result.stderr
    header, *lines = result.stdout.splitlines()
    assert header.split()[:3] == ["films", "pairs", "refused"]
    counts = {line[:44].strip(): int(line[44:].split()[0]) for line in lines}
    # Two test patients; shifts go up and down; each film has one other patient.
    assert counts["as projected"] == 2 and counts["LA moved by 5 mm"] == 4
    assert counts["swapped"] == counts["films of two patients"] == 2
    assert len(counts) == 40


def test_a_split_of_no_fold_is_refused(tmp_path):
    write_dataset(tmp_path / "set", num_patients=4, num_folds=2)
    flags = (f"--data={tmp_path / 'set'}", "--split=validation")
    assert_refused(run_program("studies.view_check_rates", *flags), "--split: only with --fold")


def test_a_doubt_counts_whatever_its_words(monkeypatch):
    film = np.random.default_rng(0).random((32, 32))
    doubtful = ViewJudgement(None, doubt="films: look at them")
    monkeypatch.setattr(film_pair, "judge_views", lambda *films, **more: doubtful)
    pair = view_check_rates._judged(film, film**0.5 + film[::-1], None, 32)
    assert view_check_rates._outcome(pair, 1.0, False) == (False, True, False, 0.0)


def test_a_folder_without_a_manifest(tmp_path):
    result = run_program("studies.view_check_rates", f"--data={tmp_path}")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path}: no prepared data folder")
