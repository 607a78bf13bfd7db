"""Fixture of the tests of `reconstruct`."""

import pytest

from tests.films import block_films
from xctrs_tf.data.films.film_writer import write_film


@pytest.fixture
def folder(tmp_path):
    """A folder with the films of a block as ap.png and la.png."""
    for view, film in block_films().items():
        write_film(tmp_path / f"{view}.png", film, view)
    return tmp_path
