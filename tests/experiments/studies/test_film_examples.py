import matplotlib.image

from experiments.studies import film_examples
from tests.programs import run_program


def test_both_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(film_examples, "SIZE", 40)
    monkeypatch.setattr(film_examples, "SPACING_MM", 6.0)
    result = run_program("studies.film_examples", f"--output={tmp_path}")
    assert result.returncode == 0, result.stderr
    for name, rows in ((film_examples.PAIR, 1), (film_examples.MISTAKES, 2)):
        pixels = matplotlib.image.imread(tmp_path / name)
        assert 4 / rows * 0.8 < pixels.shape[1] / pixels.shape[0] < 4 / rows
    result = run_program("studies.film_examples", f"--output={tmp_path / 'absent'}")
    assert (result.returncode, "no such folder" in result.stderr) == (2, True)


def test_a_box_is_around_a_place_in_mm():
    left, top, right, bottom = film_examples.box_of((100, 60), 30.0, right_mm=6, down_mm=-3)
    assert (left, top, right, bottom) == (94, 48, 114, 68)
