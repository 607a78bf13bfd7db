import numpy as np
import pytest

from tests.neck_finder.marked_films import HEIGHT, find_marks, marked_film
from xctrs_tf.neck_finder.neck_search import Orientation, search_neck

ALL = [
    Orientation(quarter, mirrored, inverted)
    for quarter in range(4)
    for mirrored in (False, True)
    for inverted in (False, True)
]


@pytest.mark.parametrize(
    ("angle", "mirrored"),
    [(0, False), (0, True), (12, True), (90, False), (171, False), (-75, True)],
)
def test_place_and_orientation_are_found(angle, mirrored):
    film = marked_film((180, 220), (80, 130), angle, mirrored)
    found = search_neck(film, "la", ALL, find_marks)
    np.testing.assert_allclose(found.centre, (80, 130), atol=2)
    assert found.height == pytest.approx(HEIGHT, rel=0.1)
    assert (found.angle_deg - angle + 180) % 360 - 180 == pytest.approx(0, abs=6)
    assert (found.mirrored, found.inverted) == (mirrored, False)
    assert min(found.margins.values()) > 0


def test_an_inverted_film_is_found_where_inversion_is_possible():
    found = search_neck(-marked_film((200, 200), (100, 100)), "la", ALL, find_marks)
    assert found.inverted
    assert abs(found.angle_deg) < 6


def test_a_margin_is_infinite_where_there_is_no_choice():
    found = search_neck(marked_film((200, 200), (90, 90)), "la", [Orientation()], find_marks)
    assert set(found.margins.values()) == {np.inf}
