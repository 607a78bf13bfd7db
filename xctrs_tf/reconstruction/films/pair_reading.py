"""Reading of two films for a model: search for the neck, cut out, check."""

import dataclasses

from xctrs_tf.errors import UserError
from xctrs_tf.quiet import quiet_libraries

UNKNOWN_SIZE = (
    "films: no file tells the size of a pixel; voxels are taken to be as wide as the training "
    "patients' (median); --spacing_mm, --ap_pixel_mm or --la_pixel_mm tells it"
)


def read_pair(paths, options, model, spacing_mm=None, search=None):
    """Read two films as a model takes them, without remarks of the libraries.

    Args:
        paths: dict of ``ap`` and ``la``, the files.
        options: `FilmOptions`.
        model: what has the model's ``size`` and ``film_normalization``, and
            ``trained_spacing_mm()``, which returns the edge of a voxel of its training
            patients or None. It is called only where a film has no crop box.
        spacing_mm: edge of a voxel, or None.
        search: function like `neck_finder.neck_search.search_neck`; None takes that.

    Returns:
        `FilmPair`; its ``problem`` tells why it is refused, its ``remarks`` what was mended
        or assumed.

    Raises:
        UserError: a film is missing or cannot be read.
    """
    # They load scipy, which --help of a program must not.
    from xctrs_tf.data.films.pair.film_pair import cut_pair, open_films

    with quiet_libraries():
        opened = open_films(paths, options.frames())
        pair = _cropped(opened, options, model, spacing_mm, search)
        if pair.problem is None and options.check_views:
            pair = dataclasses.replace(pair, problem=_two_patients(paths))
        if pair.problem is None:
            pair = cut_pair(
                pair.opened, model.size, spacing_mm, model.film_normalization, options.check_views
            )
    # Where a film is cropped at the neck, that gave the scale, which was said.
    cropped = any(each.found and each.frame.crop_box for each in pair.opened.values())
    if pair.problem is None and pair.spacing_mm is None and not cropped:
        pair = dataclasses.replace(pair, remarks=(*pair.remarks, UNKNOWN_SIZE))
    return pair


def _two_patients(paths):
    # It needs pydicom, which --help of a program must not load.
    from xctrs_tf.report.dicom_patient import difference_of_patients

    return difference_of_patients(**paths)


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
            return FilmPair(opened)
        from xctrs_tf.neck_finder.pair_crops import propose_crops

        how = {} if search is None else {"search": search}
        return FilmPair(propose_crops(opened, model.size, edge_mm, options.fixed(), **how))
    except UserError as error:
        return FilmPair(opened, problem=str(error))
