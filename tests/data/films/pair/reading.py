from xctrs_tf.data.films.pair.film_pair import cut_pair, open_films
from xctrs_tf.errors import UserError


def read_film_pair(paths, frames, size, spacing_mm=None, remarks=None):
    """Read both films of a patient, without the check of views and heights.

    Args:
        paths: dict of ``ap`` and ``la``, the files.
        frames: dict of a `FilmFrame` for each.
        size: pixels a side of the network.
        spacing_mm: edge of a voxel, or None.
        remarks: list that gets a line for whatever was assumed or corrected.

    Returns:
        Dict of the films, and the edge of a voxel in mm, or None.

    Raises:
        UserError: as `open_films`, or the pair is refused.
    """
    pair = cut_pair(open_films(paths, frames), size, spacing_mm, check=False)
    if pair.problem is not None:
        raise UserError(pair.problem)
    if remarks is not None:
        remarks += pair.remarks
    return pair.films, pair.spacing_mm
