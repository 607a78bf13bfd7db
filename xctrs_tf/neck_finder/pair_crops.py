"""Crop boxes and orientations of a pair of films, where the user gave none."""

import dataclasses

from xctrs_tf.data.films.film import naming
from xctrs_tf.data.films.film_frame import ASPECT_TOLERANCE
from xctrs_tf.geometry import VIEWS
from xctrs_tf.neck_finder.crop_proposal import NARROW, propose_crop
from xctrs_tf.neck_finder.joint_heights import at_joint_heights
from xctrs_tf.neck_finder.neck_search import search_neck

# The heights of C1..C7 on both films differ at most by this share, where both scales are known.
_MAX_DIFFERENCE = 0.15


def propose_crops(opened, size, spacing_mm, fixed, search=search_neck):
    """Find C1..C7 on the films of a pair that have no crop box.

    A film that shows as much as the network sees stays as it is: one of the network's own
    number of pixels, or a square one that its pixel size says to be so wide. Boxes that were
    found are moved to the same heights of the neck, by the brightness of the films' rows.

    Args:
        opened: dict of `OpenFilm` by view.
        size: pixels a side of the network.
        spacing_mm: edge of a voxel.
        fixed: dict by view of what the user's flags decide; see `propose_crop`.
        search: `search_neck`, or a function like it.

    Returns:
        Dict of `OpenFilm` with frames that are cut and turned, and with what is said about it.

    Raises:
        UserError: as `propose_crop`; the message names the file.
    """
    proposals = {}
    for view, film in opened.items():
        if film.frame.crop_box is None and not _is_network_film(film, size, spacing_mm):
            with naming(film.path):
                proposals[view] = propose_crop(
                    film.raw, film.frame, view, size * spacing_mm, fixed[view], search
                )
    found, line = dict(opened), None
    for view, proposal in proposals.items():
        changes = {"frame": proposal.frame, "found": proposal.record}
        found[view] = dataclasses.replace(opened[view], **changes)
    boxed = [view for view, proposal in proposals.items() if proposal.frame.crop_box is not None]
    if boxed and len(found) == len(VIEWS):
        found, line = at_joint_heights(found, size, spacing_mm, boxed)
    # The sentences name the boxes as they were moved.
    for view, proposal in proposals.items():
        film = found[view]
        lines = [f"{film.path}: {sentence}" for sentence in proposal.tell(film.frame)]
        lines += _difference(opened, proposals) if view == "la" else []
        lines += [line] if line and view == boxed[-1] else []
        found[view] = dataclasses.replace(film, remarks=(*film.remarks, *lines))
    return found


def _is_network_film(film, size, spacing_mm):
    width, height = film.raw.pixels.shape
    if (width, height) == (size, size):
        return True
    pixel_mm = film.frame.pixel_size(film.raw)
    if pixel_mm is None:
        return False
    edges = width * pixel_mm[0], height * pixel_mm[1]
    is_square = abs(edges[0] - edges[1]) <= ASPECT_TOLERANCE * max(edges)
    return is_square and abs(max(edges) / (size * spacing_mm) - 1) <= NARROW


def _difference(opened, proposals):
    """Return a line where the films' pixel sizes give necks of different heights."""
    heights = {}
    for view, proposal in proposals.items():
        pixel_mm = opened[view].frame.pixel_size(opened[view].raw)
        if pixel_mm is not None and "neck_height_pixels" in proposal.record:
            heights[view] = proposal.record["neck_height_pixels"] * pixel_mm[1]
    if len(heights) < 2 or abs(heights["ap"] / heights["la"] - 1) <= _MAX_DIFFERENCE:
        return []
    return [
        f"films: by their pixel sizes, C1 to C7 are {heights['ap']:.0f} mm tall on the AP film and "
        f"{heights['la']:.0f} mm on the LA film; check --ap_pixel_mm and --la_pixel_mm"
    ]
