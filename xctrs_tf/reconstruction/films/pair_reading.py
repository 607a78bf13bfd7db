"""Reading of two films for a model: search for the neck, cut out, check."""

import contextlib
import dataclasses
import math
import pathlib

from xctrs_tf.data.films.raw_film import MAX_FILE_BYTES
from xctrs_tf.errors import UserError
from xctrs_tf.files import as_dict, sha256_of
from xctrs_tf.quiet import quiet_libraries

UNKNOWN_SIZE = (
    "films: no file tells the size of a pixel; voxels are taken to be as wide as the training "
    "patients' (median); --spacing_mm, --ap_pixel_mm or --la_pixel_mm tells it"
)
NOT_SEARCHED = (
    "films: the neck was not searched for, since the model does not know its voxel size, or "
    "several models do not agree on it; give --spacing_mm, or --ap_crop_box and --la_crop_box"
)


def read_pair(paths, options, model, spacing_mm=None, search=None):
    """Read two films as a model takes them, without remarks of the libraries.

    Args:
        paths: dict of ``ap`` and ``la``, the files.
        options: `FilmOptions`.
        model: what has the model's ``size``, ``film_normalization`` and ``metadata`` (or
            None), and ``trained_spacing_mm()``, which returns the edge of a voxel of its
            training patients or None. It is called only where a film has no crop box.
        spacing_mm: edge of a voxel, or None.
        search: function like `neck_finder.neck_search.search_neck`; None takes that.

    Returns:
        `FilmPair`; its ``problem`` tells why it is refused, its ``remarks`` what was corrected
        or assumed.

    Raises:
        UserError: a film is missing, cannot be read, or was replaced meanwhile.
    """
    asked = film_request(paths, options, spacing_mm)
    # They load scipy, which --help of a program must not.
    from xctrs_tf.data.films.pair.film_pair import cut_pair, open_films

    with quiet_libraries():
        opened = open_films(paths, options.frames())
        pair = _cropped(opened, options, model, spacing_mm, search)
        if pair.problem is None and options.check_views:
            problem, remarks = _compare_patients(paths)
            pair = pair.refused(problem).noting(*remarks)
        if pair.problem is None:
            said = pair.remarks
            pair = cut_pair(
                pair.opened, model.size, spacing_mm, model.film_normalization, options.check_views
            )
            pair = dataclasses.replace(pair, remarks=(*said, *pair.remarks))
    # Where a film is cropped at the neck, that gave the scale, which was said.
    cropped = any(each.found and each.frame.crop_box for each in pair.opened.values())
    if pair.problem is None and pair.spacing_mm is None and not cropped:
        pair = pair.noting(UNKNOWN_SIZE)
    if pair.problem is None:
        pair = pair.noting(_scale_remark(pair.spacing_mm, model))
    check_unchanged(paths, asked)
    return dataclasses.replace(pair, asked=asked)


def film_request(paths, options, spacing_mm=None):
    """Return what decides how two films are read, to be compared with that of another time.

    Args:
        paths: dict of ``ap`` and ``la``, the files.
        options: `FilmOptions`.
        spacing_mm: edge of a voxel, or None.

    Returns:
        Dict of JSON values: ``sha256`` of each file by view, None of one that cannot be
        read; ``options`` that are given; ``spacing_mm``.
    """
    return {
        "sha256": {view: _sha256(path) for view, path in paths.items()},
        "options": options.record(),
        "spacing_mm": spacing_mm,
    }


def check_unchanged(paths, asked):
    """Refuse films that were replaced after their `film_request` was made.

    Args:
        paths: dict of ``ap`` and ``la``, the files.
        asked: of `film_request`.

    Raises:
        UserError: a file has other contents.
    """
    for view, path in paths.items():
        if _sha256(path) != asked["sha256"][view]:
            raise UserError(
                f"{path}: changed while it was read; reconstruct again when it is whole, from a "
                "folder into which nothing else writes"
            )


def _sha256(path):
    if path is None:
        return None
    file = pathlib.Path(path)
    with contextlib.suppress(OSError):
        # A pipe may never end, and larger files are refused unread.
        if file.is_file() and file.stat().st_size <= MAX_FILE_BYTES:
            return sha256_of(file)
    return None


def _scale_remark(spacing_mm, model):
    """Say that voxels are not as wide as in training, beyond what counts for the checks."""
    from xctrs_tf.quality.checks import CHECKS

    trained_mm = as_dict(model.metadata).get("spacing_mm")
    if not spacing_mm or not trained_mm:
        return None
    if abs(math.log(spacing_mm / trained_mm)) <= CHECKS["ap_zoom"].resolution:
        return None
    return (
        f"films: voxels of {spacing_mm:.3g} mm; the model was trained with {trained_mm:.3g} mm, "
        f"and a neck has another size to it; crop boxes {trained_mm * model.size:.3g} mm wide show "
        "it as in training"
    )


def _compare_patients(paths):
    # It needs pydicom, which --help of a program must not load.
    from xctrs_tf.report.dicom_patient import compare_patients

    return compare_patients(**paths)


def _cropped(opened, options, model, spacing_mm, search):
    """Return the pair with the frames that the search finds, or the problem."""
    from xctrs_tf.data.films.pair.film_pair import FilmPair, check_one_film

    if options.crop == "none":
        return FilmPair(opened)
    try:
        # Before the search, which takes one of them for a film of the other view.
        check_one_film(opened)
        if all(each.frame.crop_box is not None for each in opened.values()):
            return FilmPair(opened)
        edge_mm = spacing_mm or model.trained_spacing_mm()
        if edge_mm is None:
            return FilmPair(opened, remarks=_not_searched(opened, model.size))
        from xctrs_tf.neck_finder.pair_crops import propose_crops

        how = {} if search is None else {"search": search}
        return FilmPair(propose_crops(opened, model.size, edge_mm, options.fixed(), **how))
    except UserError as error:
        return FilmPair(opened, problem=str(error))


def _not_searched(opened, size):
    """Say that no neck was searched for, where a film may show more than the network sees."""
    shapes = [each.raw.pixels.shape for each in opened.values() if each.frame.crop_box is None]
    return () if all(shape == (size, size) for shape in shapes) else (NOT_SEARCHED,)
