import numpy as np
import pytest

from experiments.studies import finder_error
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.neck_finder import pair_crops, training_windows

FILMS = {"a": dict.fromkeys(VIEWS, ())}


@pytest.fixture
def pairs(monkeypatch):
    """Pairs of which each is refused."""

    def refuse(*arguments):
        raise UserError("films: no neck; name a crop box")

    monkeypatch.setattr(training_windows, "FilmWindows", lambda films: films)
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
