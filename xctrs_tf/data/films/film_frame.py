"""Frame of a film: the square region given to the networks, and what turns it upright."""

import dataclasses

import numpy as np

from xctrs_tf.data.films.film_rotation import rotated_part
from xctrs_tf.errors import UserError

ASPECT_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True)
class FilmFrame:
    """Region of a film given to the networks, with the rotation and flips that turn it upright.

    The crop box counts on the picture of the file. The film is rotated about the box's
    centre, and then flipped.

    Attributes:
        crop_box: ``(left, top, right, bottom)`` in pixels of the file, as a viewer
            counts them from the upper left corner; None for all of it.
        spacing_mm: edge of a pixel of the network. With it, the square that the
            network's pixels fill is cut out around the crop box's centre; without
            it, the crop box is the square.
        pixel_mm: edge of a pixel of the film at the patient, or its width and
            height, where the file gives none or a wrong one.
        flip_horizontal: exchange left and right.
        flip_vertical: exchange top and bottom.
        invert: bone is dark in the file.
        rotate_deg: rotation of the film about the crop box's centre, clockwise as a viewer
            sees it. Multiples of 90 move pixels and compute no new ones.
    """

    crop_box: tuple | None = None
    spacing_mm: float | None = None
    pixel_mm: float | tuple | None = None
    flip_horizontal: bool = False
    flip_vertical: bool = False
    invert: bool = False
    rotate_deg: float = 0.0

    def cut(self, film, size, box=None):
        """Cut the region out of a film and turn it upright.

        Args:
            film: `RawFilm`.
            size: pixels a side of the network.
            box: another box of the film to cut out, as `box` gives it.

        Returns:
            float32 ``[horizontal, vertical]``, square in mm, at the film's own
            resolution; masked where there is padding, or no film after the rotation.

        Raises:
            UserError: the box or the square lies outside the film, the box is not
                square, or the pixel's size is needed and unknown.
        """
        box = self.box(film, size) if box is None else box
        pixel_shape = self.pixel_size(film) or film.pixel_shape
        part = rotated_part(film.pixels, box, pixel_shape, self.rotate_deg)
        horizontal, vertical = self.flips(film)
        if horizontal:
            part = part[::-1]
        if vertical:
            part = part[:, ::-1]
        return -part if self.invert else part

    def box(self, film, size):
        """Return the box that `cut` cuts out: left, top, right and bottom in whole pixels.

        Args:
            film: `RawFilm`.
            size: pixels a side of the network.

        Raises:
            UserError: as `cut` does.
        """
        pixel_mm = self.pixel_size(film)
        box = self._box(film.pixels.shape)
        if self.spacing_mm is not None:
            return _square(box, pixel_mm, size * self.spacing_mm, film.pixels.shape)
        _check_square(box, pixel_mm or film.pixel_shape, pixel_mm is not None)
        return box

    def flips(self, film):
        """Return whether left and right, and whether top and bottom, are exchanged.

        Args:
            film: `RawFilm`, whose own flips add up with those of the frame.
        """
        return (
            film.flip_horizontal != self.flip_horizontal,
            film.flip_vertical != self.flip_vertical,
        )

    def pixel_size(self, film):
        """Return width and height of a film's pixel at the patient in mm, or None if unknown.

        Args:
            film: `RawFilm`.

        Raises:
            UserError: one number for pixels that are not square by their file.
        """
        if self.pixel_mm is None:
            return film.pixel_mm
        across, up = film.pixel_mm or film.pixel_shape
        if np.ndim(self.pixel_mm) == 0 and not _are_square(across, up):
            raise UserError(
                f"its pixels have the shape {across:g} x {up:g}, for which one size in mm is too "
                "little; resample the film to square pixels"
            )
        return tuple(float(edge) for edge in np.broadcast_to(self.pixel_mm, 2))

    def _box(self, shape):
        width, height = shape
        if self.crop_box is None:
            return 0, 0, width, height
        left, top, right, bottom = self.crop_box
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise UserError(
                f"crop box {left},{top},{right},{bottom}: not inside the film of {width} x "
                f"{height} pixels; give left,top,right,bottom"
            )
        return self.crop_box


def frame_flag(view, field, value):
    """Return the flag that gives a field of a film's frame.

    Args:
        view: ``"ap"`` or ``"la"``.
        field: ``"flip_horizontal"``, ``"flip_vertical"``, ``"invert"`` or ``"rotate_deg"``.
        value: of the field.
    """
    if field == "rotate_deg":
        return f"--{view}_rotate={value:g}"
    return f"--{'' if value else 'no'}{view}_{field}"


def size_advice(view, pixel_mm):
    """Say how another size of a film's pixels is given.

    Args:
        view: ``"ap"`` or ``"la"``.
        pixel_mm: width and height of a pixel.
    """
    width, height = pixel_mm
    if _are_square(width, height):
        return f"give --{view}_pixel_mm={width:.4g}"
    # No flag gives two sizes.
    size = f"{width:.4g} x {height:.4g} mm"
    return f"correct the pixel size in the {view.upper()} film's file to {size}"


def _are_square(across, up):
    return abs(across / up - 1) <= ASPECT_TOLERANCE


def _check_square(box, pixel_shape, in_mm):
    width, height = box[2] - box[0], box[3] - box[1]
    across, up = pixel_shape
    edges = width * across, height * up
    if abs(edges[0] - edges[1]) > ASPECT_TOLERANCE * max(edges):
        unit = f" of {across:g} x {up:g} mm" if in_mm else f" of shape {across:g} x {up:g}"
        unit = "" if across == up else unit
        raise UserError(f"{width} x {height} pixels{unit}; crop or pad the film square")


def _square(box, pixel_mm, field_mm, shape):
    """Return the square of ``field_mm`` around the centre of a box, in whole pixels."""
    if pixel_mm is None:
        raise UserError(
            "its pixels have no size in mm; give it, or leave the network's spacing out"
        )
    if not all(0 < edge < np.inf for edge in (*pixel_mm, field_mm)):
        raise UserError("sizes in mm must be above zero")
    counts = [max(1, round(field_mm / edge)) for edge in pixel_mm]
    first = [round((box[axis] + box[axis + 2] - counts[axis]) / 2) for axis in (0, 1)]
    if any(
        start < 0 or start + count > length
        for start, count, length in zip(first, counts, shape, strict=True)
    ):
        film_mm = " x ".join(
            f"{count * edge:.0f}" for count, edge in zip(shape, pixel_mm, strict=True)
        )
        fits = all(count <= length for count, length in zip(counts, shape, strict=True))
        how = "move the crop box" if fits else "take a film that shows more"
        raise UserError(
            f"the network sees {field_mm:.0f} mm, which reaches over the edge of the film of "
            f"{film_mm} mm; {how}, or give a smaller spacing"
        )
    return first[0], first[1], first[0] + counts[0], first[1] + counts[1]
