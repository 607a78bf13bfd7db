"""Both films of a patient: read, cut out, checked, and moved where their heights differ."""

import dataclasses
import pathlib

import numpy as np

from xctrs_tf.data.films.film import cut_film, naming, read_raw_film
from xctrs_tf.data.films.film_frame import ASPECT_TOLERANCE, FilmFrame
from xctrs_tf.data.films.film_normalisation import fill_padding, resize_film
from xctrs_tf.data.films.pair.box_moving import extended_film, strip_box
from xctrs_tf.data.films.pair.height_alignment import can_be_aligned, is_aligned, plan_box_change
from xctrs_tf.data.films.pair.height_match import HeightMatch, match_heights
from xctrs_tf.data.films.pair.mean_films import ROWS
from xctrs_tf.data.films.pair.view_check import (
    DOUBTFUL_EVIDENCE,
    ONE_VIEW_TEXT,
    check_two_films,
    is_one_view,
    judge_views,
)
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.geometry import VIEWS

# Correlation of two whole films of which one is a copy of the other.
_COPY_CORRELATION = 0.99
# How often a moved box is compared again.
_ROUNDS = 2


@dataclasses.dataclass(frozen=True)
class OpenFilm:
    """A film of a pair, read from its file, of which nothing is cut out yet.

    Attributes:
        path: the file.
        raw: `RawFilm`.
        frame: `FilmFrame` that says what to cut out.
        remarks: lines that tell how the frame was found.
        found: JSON values of what was found on the film, or None.
    """

    path: pathlib.Path
    raw: RawFilm
    frame: FilmFrame = dataclasses.field(default_factory=FilmFrame)
    remarks: tuple = ()
    found: dict | None = None


@dataclasses.dataclass(frozen=True)
class FilmPair:
    """Two films as the networks get them, or the reason why they are refused.

    Attributes:
        opened: dict of an `OpenFilm` by view.
        frames: dict of the `FilmFrame` of each film, with the voxel's edge where it counts.
        films: dict of the films by view, float32 ``(size, size)`` in [0, 1]; without those
            that could not be cut out, where the pair is refused.
        spacing_mm: edge of a voxel, or None where no film's scale is known.
        boxes: dict of the boxes that were asked for by view: left, top, right and bottom in
            pixels of the file.
        used_boxes: dict of the boxes that were cut out.
        match: `HeightMatch` of the boxes that were asked for, or None without a check.
        remarks: lines that tell what was changed or is in doubt.
        doubts: those of them that tell why the films may be no pair, or not at the same heights.
        problem: the line that tells why the pair is refused, or None.
        checked: whether views and heights were checked.
        asked: JSON values of `pair_reading.film_request`, or None.
    """

    opened: dict
    frames: dict = dataclasses.field(default_factory=dict)
    films: dict = dataclasses.field(default_factory=dict)
    spacing_mm: float | None = None
    boxes: dict = dataclasses.field(default_factory=dict)
    used_boxes: dict = dataclasses.field(default_factory=dict)
    match: HeightMatch | None = None
    remarks: tuple = ()
    doubts: tuple = ()
    problem: str | None = None
    checked: bool = True
    asked: dict | None = None

    def refused(self, problem):
        """Return the pair with the line that tells why it is refused; None leaves it accepted."""
        return dataclasses.replace(self, problem=problem)

    def noting(self, *remarks):
        """Return the pair with further remarks; those that are None are left out."""
        return dataclasses.replace(self, remarks=(*self.remarks, *filter(None, remarks)))

    def doubting(self, *doubts):
        """Return the pair with further remarks that may mean wrong films."""
        return dataclasses.replace(
            self.noting(*doubts), doubts=(*self.doubts, *filter(None, doubts))
        )

    def record(self):
        """Return JSON values: file, part and turns of each film, the match, what was asked for."""
        return {
            **{
                view: {
                    "file": one_line(each.path),
                    "crop_box": self.boxes.get(view),
                    "used_crop_box": self.used_boxes.get(view),
                    **self._turns(view),
                    **({"found": each.found} if each.found else {}),
                }
                for view, each in self.opened.items()
            },
            "heights": self.match and dataclasses.asdict(self.match),
            "remarks": list(self.remarks),
            "asked": self.asked,
        }

    def _turns(self, view):
        raw, frame = self.opened[view].raw, self.frames.get(view, self.opened[view].frame)
        names = ("flip_horizontal", "flip_vertical", "invert", "rotate_deg", "pixel_mm")
        # The header and the frame may undo each other.
        horizontal, vertical = frame.flips(raw)
        return {
            "used_flip_horizontal": horizontal,
            "used_flip_vertical": vertical,
            "used_invert": raw.inverted != frame.invert,
            **{name: getattr(frame, name) for name in names},
        }


def open_films(paths, frames):
    """Read both films of a patient from their files.

    Args:
        paths: dict of ``ap`` and ``la``, the files.
        frames: dict of a `FilmFrame` for each.

    Returns:
        Dict of an `OpenFilm` by view, for `cut_pair`. Their frames may be replaced before.

    Raises:
        UserError: a film is missing or cannot be read.
    """
    check_two_films(paths)
    return {
        view: OpenFilm(pathlib.Path(paths[view]), read_raw_film(paths[view], view), frames[view])
        for view in VIEWS
    }


def cut_pair(opened, size, spacing_mm=None, film_normalization="percentile", check=True):
    """Cut two films out so that a pixel of each is as wide as a voxel, at the same heights.

    A film's scale is known where its file or its frame gives the size of a pixel.
    With ``spacing_mm``, the square that the network's pixels fill is cut out of such
    a film, around its crop box's centre; without it, the crop boxes are the squares,
    and their width in mm gives the voxel size. A film of unknown scale is taken to
    show in its crop box as many mm as the network sees.

    With ``check``, films that cannot be the upright AP and LA film of one patient are
    refused. Where one shows the neck higher or larger than the other, its box is moved and
    scaled (`height_alignment.plan_box_change`).

    Args:
        opened: dict of `open_films`.
        size: pixels a side of the network.
        spacing_mm: edge of a voxel, or None.
        film_normalization: as of `read_film`.
        check: check and align.

    Returns:
        `FilmPair`; its ``problem`` tells why it is refused.
    """
    said = [
        f"{each.path}: {remark}"
        for each in opened.values()
        for remark in each.raw.remarks_with(each.frame)
    ]
    said += [remark for each in opened.values() for remark in each.remarks]
    pair = FilmPair(opened, remarks=tuple(said), checked=check)
    try:
        pair = _place(pair, size, spacing_mm)
        if pair.problem is None:
            pair = _cut(pair, size, film_normalization)
            check_one_film(opened)
        if pair.problem is None and check:
            pair = _align(pair, size, film_normalization)
    except UserError as error:
        pair = pair.refused(str(error))
    return pair


def match_boxes(opened, size, spacing_mm=None):
    """Compare the heights of the neck in the boxes of two films, as they are.

    Args:
        opened: dict of `open_films`.
        size: pixels a side of the network.
        spacing_mm: edge of a voxel, or None.

    Returns:
        `HeightMatch`, or None where a box cannot be cut out.
    """
    try:
        pair = _place(FilmPair(opened), size, spacing_mm)
        return match_heights(**_strips(pair)) if pair.problem is None else None
    except UserError:
        return None


def check_one_film(opened):
    """Refuse one film given for both views, however it was stored.

    Args:
        opened: dict of `OpenFilm` by view.

    Raises:
        UserError: both files hold the same film, perhaps turned, inverted or exposed otherwise.
    """
    first, second = (opened[view].raw.pixels for view in VIEWS)
    if np.array_equal(first, second):
        raise UserError("films: AP and LA have the same pixels; give one film of each view")
    if first.shape in (second.shape, second.shape[::-1]):
        try:
            small = [resize_film(fill_padding(film), ROWS) for film in (first, second)]
            copied = is_one_view(*small, _COPY_CORRELATION)
        except UserError:
            # What cannot be read outside the box does not count.
            return
        if copied:
            raise UserError(f"films: {ONE_VIEW_TEXT}")


def _place(pair, size, spacing_mm):
    """Return the pair with the boxes of both films and the edge of a voxel."""
    frames = {}
    for view, each in pair.opened.items():
        with naming(each.path):
            known = each.frame.pixel_size(each.raw) is not None
            cuts = {"spacing_mm": spacing_mm} if known and spacing_mm is not None else {}
            frames[view] = dataclasses.replace(each.frame, **cuts)
    boxes, problems = {}, []
    for view, each in pair.opened.items():
        # A box that can be placed is drawn, also where the other film's cannot.
        try:
            with naming(each.path):
                boxes[view] = frames[view].box(each.raw, size)
        except UserError as error:
            problems.append(str(error))
    pair = dataclasses.replace(pair, frames=frames, boxes=boxes, used_boxes=boxes)
    if problems:
        return pair.refused(problems[0])
    return dataclasses.replace(pair, spacing_mm=spacing_mm or _spacing_mm(pair, size))


def _cut(pair, size, film_normalization):
    """Return the pair with the films that are cut out of its used boxes."""
    films = {}
    for view, each in pair.opened.items():
        with naming(each.path):
            raw, box = extended_film(each.raw, pair.used_boxes[view])
            films[view] = cut_film(raw, size, pair.frames[view], film_normalization, box)
    return dataclasses.replace(pair, films=films)


def _align(pair, size, film_normalization):
    """Return the pair checked, and with one box moved where the films differ in height."""
    judgement = _judge(pair)
    pair = dataclasses.replace(pair, match=judgement.match)
    if not judgement.needs_alignment:
        return pair.refused(judgement.problem).doubting(judgement.doubt)
    # The match of both boxes as they were asked for, after one or two comparisons.
    aligned, whole_match = pair, judgement.match
    edge_mm = pair.spacing_mm and pair.spacing_mm * size
    for _ in range(_ROUNDS):
        change = plan_box_change(pair.opened, pair.frames, pair.boxes, whole_match, edge_mm)
        if change.box == pair.boxes[change.view]:
            # Less than a pixel of the file.
            return pair.refused(judgement.problem).doubting(judgement.doubt)
        if not can_be_aligned(whole_match) and whole_match.score > DOUBTFUL_EVIDENCE:
            return pair.refused(change.refusal)
        if whole_match.evidence < DOUBTFUL_EVIDENCE:
            return pair.doubting(judgement.doubt, change.suggestion)
        if judgement.problem is not None and not change.inside:
            return pair.refused(judgement.problem)
        used = {**pair.boxes, change.view: change.box}
        aligned = _cut(dataclasses.replace(pair, used_boxes=used), size, film_normalization)
        # Repeated edges cannot be compared.
        if not change.inside:
            break
        judgement = _judge(aligned)
        if judgement.problem is not None:
            return pair.refused(judgement.problem)
        if judgement.doubt is not None or is_aligned(judgement.match):
            break
        whole_match = whole_match.followed_by(judgement.match)
    return aligned.noting(change.remark).doubting(judgement.doubt)


def _judge(pair):
    films = _cut(pair, ROWS, "percentile").films
    return judge_views(**films, strips=_strips(pair), opened=pair.opened)


def _strips(pair):
    """Return the films at the heights of their boxes, as far as they reach to either side."""
    films = {}
    for view, each in pair.opened.items():
        frame = pair.frames[view]
        raw, box = extended_film(each.raw, pair.used_boxes[view])
        try:
            films[view] = cut_film(raw, ROWS, frame, box=strip_box(raw, frame, box))
        except UserError:
            # The film shows nothing beside the box.
            films[view] = cut_film(raw, ROWS, frame, box=box)
    return films


def _spacing_mm(pair, size):
    """Return the edge of a voxel in mm by the boxes' widths, or None if both are unknown."""
    widths = {}
    for view, (left, _, right, _) in pair.boxes.items():
        pixel_mm = pair.frames[view].pixel_size(pair.opened[view].raw)
        if pixel_mm is not None:
            widths[view] = float((right - left) * pixel_mm[0])
    if not widths:
        return None
    known = widths.values()
    if max(known) - min(known) > ASPECT_TOLERANCE * max(known):
        raise UserError(
            f"films: AP shows {widths['ap']:.0f} mm and LA {widths['la']:.0f} mm; give "
            "--spacing_mm, or crop boxes of one width"
        )
    return sum(known) / len(widths) / size
