"""Boxes of two films that are moved and scaled until both show the neck at the same heights."""

import dataclasses
import math

from xctrs_tf.data.films.film_frame import size_advice
from xctrs_tf.data.films.pair.box_moving import is_inside, moved_box
from xctrs_tf.geometry import VIEWS

# Shifts, as a share of the film's edge, and scales that are aligned: at most, and at least.
ALIGNED_SHIFT, ALIGNED_SCALE = 0.15, 1.25
_LEAST_SHIFT, _LEAST_SCALE = 0.01, 1.03


@dataclasses.dataclass(frozen=True)
class BoxChange:
    """Change of one film's box, after which both films show the neck at the same heights.

    Attributes:
        view: the film whose box is changed.
        up: distance in edges of the box, towards the top of the upright film.
        scale: factor of the box's edges.
        box: the changed box: left, top, right, bottom in pixels of the file.
        difference: what the film shows otherwise than the other one.
        inside: the box lies inside the film; else the film's edge is repeated.
        pixel_mm: width and height of the film's pixels by the other film, where the sizes that
            both films tell contradict each other; else None.
    """

    view: str
    up: float
    scale: float
    box: tuple
    difference: str
    inside: bool
    pixel_mm: tuple | None = None

    @property
    def remark(self):
        """The line that tells what was changed."""
        edge = "" if self.inside else ", with the film's edge repeated where the film ends"
        used = f"{self.difference}; {self._box_flag} was used instead{edge}"
        return f"films: {used}" + ("" if self.pixel_mm is None else f"; next time, {self._remedy}")

    @property
    def refusal(self):
        """The line that refuses films that differ too much to be aligned."""
        remedy = self._remedy if self.inside else "its film does not reach so far"
        return f"films: {self.difference}, which is too much to be corrected; {remedy}"

    @property
    def suggestion(self):
        """The line that tells what may be, where the films agree too little to be sure."""
        return f"films: {self.difference}, perhaps; nothing was moved; if so {self._remedy}"

    @property
    def _box_flag(self):
        return f"--{self.view}_crop_box={','.join(map(str, self.box))}"

    @property
    def _remedy(self):
        if self.pixel_mm is None:
            return f"give {self._box_flag}"
        # The box alone would be refused as too wide, or be made as wide as --spacing_mm says.
        return f"{size_advice(self.view, self.pixel_mm)} and give {self._box_flag}"


def is_aligned(match):
    """Return True if two films need no alignment by their `HeightMatch`."""
    return abs(match.shift) <= _LEAST_SHIFT and abs(math.log(match.scale)) <= math.log(_LEAST_SCALE)


def can_be_aligned(match):
    """Return True if the shift and scale of a `HeightMatch` lie within the limits."""
    is_near = abs(match.shift) <= ALIGNED_SHIFT
    return is_near and abs(math.log(match.scale)) <= math.log(ALIGNED_SCALE)


def plan_box_change(opened, frames, boxes, match, edge_mm=None):
    """Choose the film whose box is moved and scaled, and the new box.

    The box of the LA film is changed, but that of the AP film where the size in mm is known of
    the LA film alone: a known size should stay. If the new box does not lie inside its film, and
    that of the other film would, the other box is changed instead; not if this would scale a
    film whose size is known.

    Args:
        opened: dict of `OpenFilm`.
        frames: dict of `FilmFrame`.
        boxes: dict of the boxes that would be cut out.
        match: `HeightMatch` of these.
        edge_mm: length of a box's edge at the patient, where no film's size is known.

    Returns:
        `BoxChange`.
    """
    known = {view: frames[view].pixel_size(opened[view].raw) is not None for view in VIEWS}
    order = ["ap", "la"] if known["la"] and not known["ap"] else ["la", "ap"]
    scale = match.scale if abs(math.log(match.scale)) > math.log(_LEAST_SCALE) else 1.0
    changes = {"la": (match.shift, scale), "ap": (-match.shift / scale, 1 / scale)}
    plans = {}
    for view in order:
        up, factor = changes[view]
        raw = opened[view].raw
        box = moved_box(raw, frames[view], boxes[view], up, factor)
        plans[view] = BoxChange(view, up, factor, box, "", is_inside(raw, box))
    first, second = (plans[view] for view in order)
    instead = second.inside and (scale == 1 or not known[second.view])
    plan = second if instead and not first.inside else first
    difference = _difference(plan, opened[plan.view], frames[plan.view], boxes[plan.view], edge_mm)
    pixel_mm = None
    if scale != 1 and all(known.values()):
        told_mm = frames[plan.view].pixel_size(opened[plan.view].raw)
        pixel_mm = tuple(edge / plan.scale for edge in told_mm)
        difference += " (by their pixel sizes the films contradict each other; check both)"
    return dataclasses.replace(plan, difference=difference, pixel_mm=pixel_mm)


def _difference(plan, opened, frame, box, edge_mm):
    """Tell by how much a film shows the neck elsewhere: in mm and pixels, and times larger."""
    pixels = abs(plan.up) * (box[3] - box[1])
    pixel_mm = frame.pixel_size(opened.raw)
    if pixel_mm is not None:
        edge_mm = (box[3] - box[1]) * pixel_mm[1]
    by = f"{pixels:.0f} pixels"
    if edge_mm is not None:
        by = f"{abs(plan.up) * edge_mm:.1f} mm ({by})"
    parts = []
    if round(pixels):
        parts.append(f"{by} {'higher' if plan.up > 0 else 'lower'}")
    if plan.scale > 1:
        parts.append(f"{plan.scale:.2f} times larger")
    elif plan.scale < 1:
        parts.append(f"{1 / plan.scale:.2f} times smaller")
    this, other = ("LA", "AP") if plan.view == "la" else ("AP", "LA")
    return f"{this} shows the neck {' and '.join(parts)} than {other}"
