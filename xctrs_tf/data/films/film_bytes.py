"""A film as the bytes that the signature ``serving_bytes`` takes."""

import pathlib
import tempfile

from xctrs_tf.data.films.film import write_film


def film_bytes(film, view):
    """The PNG file that `xctrs_tf.data.films.film.write_film` makes of a film.

    Args:
        film: array ``[horizontal, vertical]``; it is normalised first.
        view: ``"ap"`` or ``"la"``.

    Returns:
        The file's bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "film.png"
        write_film(path, film, view)
        return path.read_bytes()
