import dataclasses

import numpy as np
import pytest

from tests.neck_finder.phantom_films import PIXEL_MM, phantom_films
from tests.neck_finder.test_pair_crops import SIZE, SPACING_MM, opened
from xctrs_tf.data.films.pair.film_pair import cut_pair, match_boxes
from xctrs_tf.neck_finder.joint_heights import AP_SHARE, at_joint_heights


def boxed(down, pixel_mm=(PIXEL_MM, PIXEL_MM), **films):
    """Return both films with a box around the neck, each moved down by some pixels."""
    found = opened(pixel_mm, **films)
    edge = round(SIZE * SPACING_MM / PIXEL_MM * 0.8)
    for view, each in found.items():
        width, height = each.raw.pixels.shape
        left, top = (width - edge) // 2, (height - edge) // 2 + down[view]
        frame = dataclasses.replace(each.frame, crop_box=(left, top, left + edge, top + edge))
        found[view] = dataclasses.replace(each, frame=frame, found={"score": 5.0})
    return found


def moved_down(before, after):
    """Return by view how many pixels the middle of a box moved down."""
    return {
        view: np.subtract(after[view].frame.crop_box, before[view].frame.crop_box)[[1, 3]].mean()
        for view in before
    }


def test_two_boxes_at_two_heights_meet_nearer_to_that_of_the_la_film():
    before = boxed({"ap": 0, "la": 6})
    after, line = at_joint_heights(before, SIZE, SPACING_MM, ["ap", "la"])
    down = moved_down(before, after)
    assert down["ap"] == pytest.approx(6 * AP_SHARE, abs=1.5)
    assert down["la"] == pytest.approx(-6 * (1 - AP_SHARE), abs=1.5)
    assert after["ap"].found["crop_box"] == list(after["ap"].frame.crop_box)
    assert line == (
        f"films: as the boxes were found, LA showed the neck {6 * PIXEL_MM:.0f} mm higher than AP; "
        "the found boxes were moved to the same heights"
    )


@pytest.mark.parametrize(("found", "given"), [("ap", "la"), ("la", "ap")])
def test_a_given_box_stays_and_the_found_one_moves_all_the_way(found, given):
    before = boxed({"ap": 6, "la": 0})
    after, _ = at_joint_heights(before, SIZE, SPACING_MM, [found])
    down = moved_down(before, after)
    assert down[given] == 0 and after[given] == before[given]
    assert down[found] == pytest.approx(-6 if found == "ap" else 6, abs=1.5)


def test_the_match_of_boxes_as_they_are_is_that_of_the_check():
    films = boxed({"ap": 0, "la": 6})
    assert match_boxes(films, SIZE, SPACING_MM) == cut_pair(films, SIZE, SPACING_MM).match
    frame = dataclasses.replace(films["la"].frame, crop_box=(0, 0, 9999, 9999))
    films["la"] = dataclasses.replace(films["la"], frame=frame)
    assert match_boxes(films, SIZE, SPACING_MM) is None


def test_boxes_at_one_height_stay():
    before = boxed({"ap": 0, "la": 0})
    assert at_joint_heights(before, SIZE, SPACING_MM, ["ap", "la"]) == (before, None)


def test_boxes_of_films_that_do_not_agree_stay():
    noise = np.random.default_rng(0).uniform(size=phantom_films()["la"].shape).astype(np.float32)
    before = boxed({"ap": 0, "la": 6}, la=noise)
    assert at_joint_heights(before, SIZE, SPACING_MM, ["ap", "la"]) == (before, None)


def test_boxes_of_films_of_unknown_pixel_size_get_one_scale():
    before = boxed({"ap": 0, "la": 0}, pixel_mm=None)
    box = before["la"].frame.crop_box
    larger = tuple(np.add(box, (-4, -4, 4, 4)).tolist())
    frame = dataclasses.replace(before["la"].frame, crop_box=larger)
    before["la"] = dataclasses.replace(before["la"], frame=frame)
    after, _ = at_joint_heights(before, SIZE, SPACING_MM, ["ap", "la"])
    edges = {v: after[v].frame.crop_box[3] - after[v].frame.crop_box[1] for v in after}
    assert abs(edges["la"] - edges["ap"]) <= 3
    assert box[3] - box[1] < edges["ap"] < larger[3] - larger[1]
