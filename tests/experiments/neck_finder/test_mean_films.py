import numpy as np

from tests.data.cases import write_dataset
from tests.programs import assert_refused, run_program
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.pair import mean_films


def test_the_mean_films_of_the_package_can_be_measured_again(tmp_path, monkeypatch):
    write_dataset(tmp_path / "set", num_patients=4, num_folds=2)
    flags = [f"--data={tmp_path / 'set'}", f"--output={tmp_path / 'means.json'}"]
    result = run_program("neck_finder.mean_films", *flags, "--fold=0")
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
    result = run_program("neck_finder.mean_films", *flags)
    told = "--fold must have a value"
    assert_refused(result, told, tmp_path / "means.json")
