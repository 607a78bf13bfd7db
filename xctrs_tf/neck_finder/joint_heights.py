"""Boxes that were found on both films, moved until both show the neck at the same heights."""

import dataclasses
import math

from xctrs_tf.data.films.pair.box_moving import moved_box
from xctrs_tf.data.films.pair.film_pair import match_boxes
from xctrs_tf.data.films.pair.height_alignment import is_aligned
from xctrs_tf.data.films.pair.view_check import DOUBTFUL_EVIDENCE
from xctrs_tf.geometry import VIEWS

# Share of the difference in height by which the AP box is moved, the LA box by the rest. The jaw
# hides C1 on AP films, so that their boxes are less exact: with the vertical errors of both
# (python -m experiments.studies.finder_error --split=validation) as standard deviations a and b,
# a^2 / (a^2 + b^2) leaves the smallest error.
AP_SHARE = 0.7


def at_joint_heights(opened, size, spacing_mm, found):
    """Move and scale boxes that were found, so that both films show the same part of the neck.

    A box of the user stays where it is; then the other one alone is moved. The scale is changed
    only of films of unknown pixel size.

    Args:
        opened: dict of `OpenFilm` by view, with the boxes.
        size: pixels a side of the network.
        spacing_mm: edge of a voxel.
        found: views whose boxes were found.

    Returns:
        Dict of `OpenFilm`, and a line that tells what was moved, or None.
    """
    match = match_boxes(opened, size, spacing_mm)
    scaled = [view for view in found if opened[view].frame.pixel_size(opened[view].raw) is None]
    if match is None or match.score <= DOUBTFUL_EVIDENCE:
        return opened, None
    if not scaled:
        match = dataclasses.replace(match, scale=1.0)
    if is_aligned(match):
        return opened, None
    moved = dict(opened)
    for view, (up, scale) in _changes(match, found, scaled).items():
        each = opened[view]
        box = moved_box(each.raw, each.frame, each.frame.crop_box, up, scale)
        box = _inside(each.raw, box)
        if box is None:
            return opened, None
        frame = dataclasses.replace(each.frame, crop_box=box)
        record = {**(each.found or {}), "crop_box": list(box), "moved_to_joint_height": up}
        moved[view] = dataclasses.replace(each, frame=frame, found=record)
    distance = abs(match.shift) * size * spacing_mm
    way = "higher" if match.shift > 0 else "lower"
    return moved, (
        f"films: as the boxes were found, LA showed the neck {distance:.0f} mm {way} than AP; "
        "the found boxes were moved to the same heights"
    )


def _changes(match, found, scaled):
    """Return by view how far a box moves up, in its edges, and the factor of its edges."""
    ap_share = {("ap",): 1.0, ("la",): 0.0}.get(tuple(found), AP_SHARE)
    log_scale = math.log(match.scale) / max(1, len(scaled))
    factors = {
        view: math.exp((log_scale if view == "la" else -log_scale) * (view in scaled))
        for view in VIEWS
    }
    ups = {"ap": -ap_share * match.shift / match.scale, "la": (1 - ap_share) * match.shift}
    return {view: (ups[view], factors[view]) for view in found}


def _inside(film, box):
    """Move a box into its film; None if the film is too small for it."""
    left, top, right, bottom = box
    width, height = film.pixels.shape
    if right - left > width or bottom - top > height:
        return None
    left = min(max(left, 0), width - (right - left))
    top = min(max(top, 0), height - (bottom - top))
    return left, top, left + box[2] - box[0], top + box[3] - box[1]
