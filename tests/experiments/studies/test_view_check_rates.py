import numpy as np

from experiments.studies import view_check_rates
from tests.data.cases import write_dataset
from tests.programs import assert_refused, run_program
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.pair import film_pair, mean_films
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


def test_a_doubt_counts_whatever_its_words(monkeypatch):
    film = np.random.default_rng(0).random((32, 32))
    doubtful = ViewJudgement(None, doubt="films: look at them")
    monkeypatch.setattr(film_pair, "judge_views", lambda *films, **more: doubtful)
    pair = view_check_rates._judged(film, film**0.5 + film[::-1], None, 32)
    assert view_check_rates._outcome(pair, 1.0, False) == (False, True, False, 0.0)


def test_the_mean_films_of_the_package_can_be_measured_again(tmp_path, monkeypatch):
    write_dataset(tmp_path / "set", num_patients=4, num_folds=2)
    flags = [f"--data={tmp_path / 'set'}", f"--write_means={tmp_path / 'means.json'}"]
    result = run_program("studies.view_check_rates", *flags, "--fold=0")
    assert result.returncode == 0, result.stderr
    monkeypatch.setattr(mean_films, "MEANS", tmp_path / "means.json")
    mean_films.mean_films.cache_clear()
    read = mean_films.mean_films()
    mean_films.mean_films.cache_clear()
    # The other patients are the test patients.
    dataset = open_dataset(tmp_path / "set")
    split = dataset.split(0)
    cases = [dataset.load(patient) for patient in (*split.training, *split.validation)]
    assert 0 < len(cases) < 4
    for view, mean in read.items():
        fields = [mean_films.film_fields(getattr(case, view)) for case in cases]
        np.testing.assert_allclose(mean.fields, np.mean(fields, axis=0), atol=1e-4)
        assert (mean.quantiles[0], mean.quantiles[-1]) == (0, 1)
    (tmp_path / "means.json").unlink()
    result = run_program("studies.view_check_rates", *flags)
    told = "--write_means: name with --fold the test patients"
    assert_refused(result, told, tmp_path / "means.json")


def test_a_folder_without_a_manifest(tmp_path):
    result = run_program("studies.view_check_rates", f"--data={tmp_path}")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path}: no prepared data folder")
