"""Faults of a pair of films (turned, mirrored, inverted, exchanged) and the flags against them."""

import dataclasses
import math

import numpy as np

from xctrs_tf.data.films.film_frame import FilmFrame, frame_flag

# What undoes the fault of a film ``[horizontal, vertical]``.
UNDO = {
    "none": lambda film: film,
    "mirror": lambda film: film[::-1],
    "flip": lambda film: film[:, ::-1],
    "half turn": lambda film: film[::-1, ::-1],
    # The second axis points up, so that numpy turns counter-clockwise.
    "clockwise": lambda film: np.rot90(film, -1),
    "counter-clockwise": np.rot90,
    "invert": lambda film: 1 - film,
}
_SWITCHES = {"mirror": "flip_horizontal", "flip": "flip_vertical", "invert": "invert"}
_TURNS_DEG = {"half turn": 180, "clockwise": 90, "counter-clockwise": -90}


@dataclasses.dataclass(frozen=True)
class Fault:
    """Fault of a pair, with what undoes it.

    Attributes:
        name: short name, such as ``"la mirrored"``.
        text: what is wrong.
        undo: dict by view of the name in `UNDO`.
        remedies: the same for the flags. An AP film and its mirror image look alike, so
            that a film which was turned by 180 degrees is compared after a flip.
        swapped: the films are exchanged.
    """

    name: str
    text: str
    undo: dict = dataclasses.field(default_factory=dict)
    remedies: dict | None = None
    swapped: bool = False

    def message(self, opened=None):
        """Say what is wrong, and what to do.

        Args:
            opened: dict by view of the `film_pair.OpenFilm`, whose flips and rotation the
                flags replace; by default the films have none.

        Returns:
            One sentence.
        """
        if self.swapped:
            return f"{self.text}: exchange the two files"
        changes = {}
        for view, name in (self.remedies or self.undo).items():
            frame, mirrored = _frame(opened and opened[view])
            changes[view] = _change(frame, mirrored, name)
        turns = [change.get("rotate_deg") for change in changes.values()]
        # A flag of one film wins over that of both.
        is_free = opened is None or not any(each.frame.rotate_deg for each in opened.values())
        if len(turns) == 2 and None not in turns and turns[0] == turns[1] and is_free:
            return f"{self.text}: give --rotate={turns[0]:g}"
        flags = [
            frame_flag(view, field, value)
            for view, change in changes.items()
            for field, value in change.items()
        ]
        return f"{self.text}: give {' and '.join(flags)}"


def rotation_flag(view, degrees, opened=None):
    """Return the flag that turns a film, as the network gets it, further clockwise.

    Args:
        view: ``"ap"`` or ``"la"``.
        degrees: of the rotation.
        opened: as of `Fault.message`.
    """
    rotated = _rotated_further(*_frame(opened and opened[view]), degrees)
    return frame_flag(view, "rotate_deg", round(rotated, 1))


def move_on_file(view, move, opened=None):
    """Return a move on a film, as the network gets it, as one on the picture of its file.

    Args:
        view: ``"ap"`` or ``"la"``.
        move: ``(to the right, up)``.
        opened: as of `Fault.message`.

    Returns:
        ``(to the right, up)`` as a viewer of the file sees it, where crop boxes count.
    """
    if opened is None:
        return tuple(move)
    frame = opened[view].frame
    right, up = (
        -part if flip else part
        for part, flip in zip(move, frame.flips(opened[view].raw), strict=True)
    )
    # The film was rotated clockwise before it was flipped.
    angle = math.radians(frame.rotate_deg)
    return (
        right * math.cos(angle) - up * math.sin(angle),
        right * math.sin(angle) + up * math.cos(angle),
    )


FAULTS = (
    Fault("la mirrored", "the lateral film faces right", {"la": "mirror"}),
    Fault("la upside down", "the lateral film is upside down", {"la": "flip"}),
    Fault(
        "la turned by 180 degrees", "the lateral film is turned by 180 degrees", {"la": "half turn"}
    ),
    Fault("ap upside down", "the AP film is upside down", {"ap": "flip"}, {"ap": "half turn"}),
    Fault("both upside down", "both films are upside down", {"ap": "flip", "la": "flip"}),
    Fault(
        "both turned by 180 degrees",
        "both films are turned by 180 degrees",
        {"ap": "flip", "la": "half turn"},
        {"ap": "half turn", "la": "half turn"},
    ),
    Fault("la turned counter-clockwise", "the lateral film lies on its side", {"la": "clockwise"}),
    Fault("la turned clockwise", "the lateral film lies on its side", {"la": "counter-clockwise"}),
    Fault("ap turned counter-clockwise", "the AP film lies on its side", {"ap": "clockwise"}),
    Fault("ap turned clockwise", "the AP film lies on its side", {"ap": "counter-clockwise"}),
    Fault(
        "both turned counter-clockwise",
        "both films lie on their side",
        {"ap": "clockwise", "la": "clockwise"},
    ),
    Fault(
        "both turned clockwise",
        "both films lie on their side",
        {"ap": "counter-clockwise", "la": "counter-clockwise"},
    ),
    Fault("la inverted", "the lateral film shows bone dark", {"la": "invert"}),
    Fault("ap inverted", "the AP film shows bone dark", {"ap": "invert"}),
    Fault("both inverted", "both films show bone dark", {"ap": "invert", "la": "invert"}),
    Fault("swapped", "AP and LA are swapped", swapped=True),
)


def _frame(opened):
    """Return the frame of a film, and whether file and frame together flip it once."""
    if opened is None:
        return FilmFrame(), False
    horizontal, vertical = opened.frame.flips(opened.raw)
    return opened.frame, horizontal != vertical


def _change(frame, mirrored, name):
    """Return the fields of a frame that have to change, with their new values."""
    if name in _SWITCHES:
        field = _SWITCHES[name]
        return {field: not getattr(frame, field)}
    return {"rotate_deg": _rotated_further(frame, mirrored, _TURNS_DEG[name])}


def _rotated_further(frame, mirrored, degrees):
    """Return the rotation of a frame after which its film is turned clockwise by some degrees."""
    # A film is rotated before it is flipped, and a flip turns the rotation round.
    degrees = frame.rotate_deg + (-1 if mirrored else 1) * degrees
    return 180 - (180 - degrees) % 360
