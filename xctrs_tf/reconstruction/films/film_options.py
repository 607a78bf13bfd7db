"""Treatment of two films before the network gets them: crops, pixel sizes, flips, turns."""

import dataclasses
import operator

from xctrs_tf.errors import UserError, one_line
from xctrs_tf.geometry import VIEWS

CROPS = ("auto", "none")
# What a film shows that `neck_finder.crop_proposal.propose_crop` may find out, and the options
# that decide it in its place.
_DECIDES = {
    "turn": ("rotate", "{view}_rotate", "{view}_flip_vertical"),
    "mirror": ("{view}_flip_horizontal", "{view}_flip_vertical"),
    "invert": ("{view}_invert",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """Treatment of two films: crop boxes, pixel sizes, flips and rotations.

    The fields have the names of the flags of `experiments.reconstruct`. None means that an
    option is not given: with ``crop="auto"`` it may then be found on the film.

    Attributes:
        crop: ``"auto"``: find C1 to C7 on a film without crop box that shows more than the
            network sees, crop it there and turn it upright; ``"none"``: take all of it.
        ap_crop_box: ``(left, top, right, bottom)`` in pixels of the AP film's file, as a
            viewer counts them from the upper left corner: the square that the network sees.
        la_crop_box: the same for the LA film.
        ap_pixel_mm: edge of a pixel of the AP film at the patient, where its file does not
            tell it or is wrong.
        la_pixel_mm: the same for the LA film.
        ap_flip_horizontal: exchange left and right of the AP film.
        la_flip_horizontal: the same for the LA film.
        ap_flip_vertical: exchange top and bottom of the AP film.
        la_flip_vertical: the same for the LA film.
        ap_invert: bone is dark on the AP film.
        la_invert: the same for the LA film.
        rotate: degrees by which both films are rotated about their crop boxes' centres,
            clockwise as a viewer sees them, before they are flipped.
        ap_rotate: the same for the AP film alone; wins over ``rotate``.
        la_rotate: the same for the LA film alone.
        check_views: refuse films that look swapped, turned, dark-boned or not like one
            patient's, and move the box of a film that shows the neck higher or larger than
            the other.

    Raises:
        UserError: a value that is impossible.
    """

    crop: str = "auto"
    ap_crop_box: tuple | None = None
    la_crop_box: tuple | None = None
    ap_pixel_mm: float | None = None
    la_pixel_mm: float | None = None
    ap_flip_horizontal: bool | None = None
    la_flip_horizontal: bool | None = None
    ap_flip_vertical: bool | None = None
    la_flip_vertical: bool | None = None
    ap_invert: bool | None = None
    la_invert: bool | None = None
    rotate: float | None = None
    ap_rotate: float | None = None
    la_rotate: float | None = None
    check_views: bool = True

    def __post_init__(self):
        from xctrs_tf.data.films.raw_film import MAX_PIXEL_MM, MIN_PIXEL_MM

        if self.crop not in CROPS:
            raise UserError(f"--crop={one_line(self.crop, 60)}: must be {' or '.join(CROPS)}")
        for name in ("rotate", *(f"{view}_rotate" for view in VIEWS)):
            self._require(name, -180, 180, "-180 to 180 degrees, clockwise")
        limits = f"{MIN_PIXEL_MM:g} to {MAX_PIXEL_MM:g}, in mm, as pixels of films are"
        for view in VIEWS:
            self._require(f"{view}_pixel_mm", MIN_PIXEL_MM, MAX_PIXEL_MM, limits)
            # The only way to set a field of a frozen class.
            object.__setattr__(self, f"{view}_crop_box", self._checked_box(view))

    def frames(self):
        """Return a dict by view of the `FilmFrame` that these options ask for."""
        from xctrs_tf.data.films.film_frame import FilmFrame

        both = self.rotate or 0.0
        return {
            view: FilmFrame(
                crop_box=self._of(view, "crop_box"),
                pixel_mm=self._of(view, "pixel_mm"),
                flip_horizontal=bool(self._of(view, "flip_horizontal")),
                flip_vertical=bool(self._of(view, "flip_vertical")),
                invert=bool(self._of(view, "invert")),
                rotate_deg=both if self._of(view, "rotate") is None else self._of(view, "rotate"),
            )
            for view in VIEWS
        }

    def record(self):
        """Return JSON values of the options that are given, by name."""
        fields = {field.name: field.default for field in dataclasses.fields(self)}
        given = {
            name: getattr(self, name) for name in fields if getattr(self, name) != fields[name]
        }
        return {name: _plain(value) for name, value in given.items()}

    def fixed(self):
        """Return a dict by view of what is given and is not to be searched on the film.

        Returns:
            Dict of sets of ``"turn"``, ``"mirror"`` and ``"invert"``.
        """
        return {
            view: {
                kind
                for kind, names in _DECIDES.items()
                if any(getattr(self, name.format(view=view)) is not None for name in names)
            }
            for view in VIEWS
        }

    def _of(self, view, name):
        return getattr(self, f"{view}_{name}")

    def _require(self, name, low, high, text):
        value = getattr(self, name)
        try:
            good = value is None or low <= value <= high
        except TypeError:
            good = False
        if not good:
            raise UserError(f"--{name}={one_line(value, 60)}: must be {text}")

    def _checked_box(self, view):
        """Return a crop box as four integers, or None."""
        box = self._of(view, "crop_box")
        if box is None:
            return None
        try:
            edges = box.split(",") if isinstance(box, str) else box
            left, top, right, bottom = map(_whole_number, edges)
        except (TypeError, ValueError) as error:
            given = box if isinstance(box, str) or not hasattr(box, "__iter__") else _joined(box)
            raise UserError(
                f"--{view}_crop_box={one_line(given, 60)}: write it as left,top,right,bottom in "
                "pixels"
            ) from error
        return left, top, right, bottom


def _whole_number(edge):
    return int(edge) if isinstance(edge, str) else operator.index(edge)


def _plain(value):
    """Return the JSON value of an option; a number may be NumPy's."""
    if isinstance(value, tuple):
        return list(value)
    return value.item() if hasattr(value, "item") else value


def _joined(edges):
    return ",".join(map(str, edges))
