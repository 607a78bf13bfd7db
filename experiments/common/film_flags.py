"""Flags of two films: their files, and how they are brought to the network."""

import dataclasses
import logging

from absl import flags

from experiments.common.cli import check_keras, load_tensorflow
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quiet import quiet_libraries

NAMES = {"ap": "anterior-posterior", "la": "lateral"}
GROUPS = {"Films": None}
CROPS = ("auto", "none")
UNKNOWN_SIZE = (
    "films: no file tells the size of a pixel; voxels are taken to be as wide as the training "
    "patients' (median); --spacing_mm, --ap_pixel_mm or --la_pixel_mm tells it"
)


class FilmFlags:
    """The flags of two films, defined on a program's flag values.

    Args:
        flag_values: `flags.FlagValues` of the program.

    Attributes:
        paths: dict from view to the flag of the film's file.
        spacing_mm: flag of the voxel size.
    """

    def __init__(self, flag_values):
        where = {"flag_values": flag_values}
        self._flag_values = flag_values
        self._crop = flags.DEFINE_enum(
            "crop",
            "auto",
            CROPS,
            "auto: find C1 to C7 on a film without crop box that shows more than the network "
            "sees, crop it there and turn it upright; what is done is said, and given flags "
            "win. none: take all of such a film.",
            **where,
        )
        self.paths = {
            view: flags.DEFINE_string(
                view, None, f"The {NAMES[view]} film: DICOM, PNG, TIFF, JPEG or NIfTI.", **where
            )
            for view in VIEWS
        }
        self._crop_boxes = {
            view: flags.DEFINE_list(
                f"{view}_crop_box",
                None,
                f"left,top,right,bottom in pixels of --{view}, as a viewer counts them from the "
                "upper left corner: the square that the network is to see; by default all of "
                "the film, or what --crop finds.",
                **where,
            )
            for view in VIEWS
        }
        self._pixels_mm = {
            view: flags.DEFINE_float(
                f"{view}_pixel_mm",
                None,
                f"Edge of a pixel of --{view} at the patient, where its file does not tell or is "
                "wrong.",
                **where,
            )
            for view in VIEWS
        }
        self._flips = {
            (view, direction): flags.DEFINE_boolean(
                f"{view}_flip_{direction}", False, f"Exchange {sides} of --{view}.", **where
            )
            for view in VIEWS
            for direction, sides in (
                ("horizontal", "left and right"),
                ("vertical", "top and bottom"),
            )
        }
        self._invert = {
            view: flags.DEFINE_boolean(
                f"{view}_invert", False, f"Bone is dark on --{view}.", **where
            )
            for view in VIEWS
        }
        self._rotate = {
            view: flags.DEFINE_float(
                f"{view}_rotate",
                None,
                f"Degrees by which --{view} is rotated about its crop box's centre, clockwise as a "
                "viewer sees it, before it is flipped; by default --rotate.",
                **where,
            )
            for view in VIEWS
        }
        self._rotate_both = flags.DEFINE_float(
            "rotate", 0.0, "Degrees by which both films are rotated: see --ap_rotate.", **where
        )
        for flag in (self._rotate_both, *self._rotate.values()):
            flags.register_validator(
                flag,
                lambda value: value is None or -180 <= value <= 180,
                "must be -180 to 180 degrees, clockwise",
                **where,
            )
        self.spacing_mm = flags.DEFINE_float(
            "spacing_mm",
            None,
            "Edge of a voxel. A film whose pixels have a known size is cut to it around its crop "
            "box's centre. By default the crop boxes' width in mm divided by the model's voxels a "
            "side; where no pixel's size is known, the median of the training patients.",
            **where,
        )
        flags.register_validator(
            self.spacing_mm,
            lambda value: value is None or 0 < value < float("inf"),
            "must be above 0",
            **where,
        )
        for flag in self._pixels_mm.values():
            flags.register_validator(
                flag, _is_pixel_mm, "must be 0.01 to 20, in mm, as pixels of films are", **where
            )

    def check_given(self):
        """Refuse a command line without both films.

        Raises:
            UserError: a film is missing.
        """
        from xctrs_tf.data.films.pair.view_check import check_two_films

        check_two_films({view: flag.value for view, flag in self.paths.items()})

    def paths_and_frames(self):
        """Return the films' files and their `FilmFrame`s: two dicts by view.

        Raises:
            UserError: a crop box that is none.
        """
        from xctrs_tf.data.films.film_frame import FilmFrame

        frames = {
            view: FilmFrame(
                crop_box=_crop_box(self._crop_boxes[view]),
                pixel_mm=self._pixels_mm[view].value,
                flip_horizontal=self._flips[view, "horizontal"].value,
                flip_vertical=self._flips[view, "vertical"].value,
                invert=self._invert[view].value,
                rotate_deg=self._degrees(view),
            )
            for view in VIEWS
        }
        return {view: flag.value for view, flag in self.paths.items()}, frames

    def crops(self, size, spacing_mm):
        """Return a function that puts crops into opened films, or None with --crop=none.

        Args:
            size: pixels a side of the network.
            spacing_mm: function without arguments that returns the edge of a voxel, or None
                where it is not known; called only where a film has no crop box.

        Returns:
            Function from a dict of `OpenFilm` to the same with better frames.
        """
        if self._crop.value == "none":
            return None
        fixed = {view: self._fixed(view) for view in VIEWS}

        def crops(opened):
            from xctrs_tf.neck_finder.pair_crops import propose_crops

            if all(each.frame.crop_box is not None for each in opened.values()):
                return opened
            edge_mm = spacing_mm()
            if edge_mm is None:
                return opened
            return propose_crops(opened, size, edge_mm, fixed, _search)

        return crops

    def _fixed(self, view):
        """Return what the flags on the command line decide: turn, mirror, invert."""
        names = {
            "turn": ("rotate", f"{view}_rotate", f"{view}_flip_vertical"),
            "mirror": (f"{view}_flip_horizontal", f"{view}_flip_vertical"),
            "invert": (f"{view}_invert",),
        }
        return {
            kind
            for kind, flags_of_kind in names.items()
            if any(self._flag_values[name].present for name in flags_of_kind)
        }

    def _degrees(self, view):
        own = self._rotate[view].value
        return self._rotate_both.value if own is None else own


def read_films(pair, frames, model, spacing_mm, check, output, private=True, crops=None):
    """Read a pair of films without remarks of the libraries, and check that it is one.

    What is mended is said on stderr. Films that are refused are drawn beside the output.

    Args:
        pair: `FilmFiles`.
        frames: dict of a `FilmFrame` for each.
        model: what has the ``size`` and the ``film_normalization`` of the model.
        spacing_mm: edge of a voxel, or None.
        check: refuse films that look swapped, turned or not like one patient's, and move the
            box of a film that shows the neck at another height.
        output: the pair's output folder.
        private: let no other user of the machine see the picture of refused films.
        crops: function of `FilmFlags.crops`, or None.

    Returns:
        `FilmPair`.

    Raises:
        UserError: the films cannot be read, or are refused; the message names the picture.
    """
    from xctrs_tf.data.films.pair.film_pair import cut_pair, open_films
    from xctrs_tf.reconstruction.output_folder import write_refused_films

    with quiet_libraries():
        films = _cropped(open_films(pair.paths, frames), crops)
        if films.problem is None:
            films = cut_pair(films.opened, model.size, spacing_mm, model.film_normalization, check)
    picture = write_refused_films(films, output, private)
    if films.problem is not None:
        raise UserError(films.problem + (f" (drawn in {picture})" if picture else ""))
    # Where a film is cropped at the neck, that gave the scale, which was said.
    cropped = any(each.found and each.frame.crop_box for each in films.opened.values())
    if films.spacing_mm is None and not cropped:
        films = dataclasses.replace(films, remarks=(*films.remarks, UNKNOWN_SIZE))
    for remark in films.remarks:
        logging.warning("%s", one_line(f"{pair.id}: {remark}" if pair.id else remark))
    return films


def _cropped(opened, crops):
    """Return the pair with the frames that `FilmFlags.crops` finds, or the problem."""
    from xctrs_tf.data.films.pair.film_pair import FilmPair, check_one_film

    if crops is None:
        return FilmPair(opened)
    try:
        # Before the search, which takes one of them for a film of the other view.
        check_one_film(opened)
        return FilmPair(crops(opened))
    except UserError as error:
        return FilmPair(opened, problem=str(error))


def _search(*film):
    """Search a film as `search_neck` does, if Keras is installed."""
    check_keras("the search for the neck", "give --ap_crop_box and --la_crop_box, or --crop=none")
    load_tensorflow()
    from xctrs_tf.neck_finder.neck_search import search_neck

    return search_neck(*film)


def _is_pixel_mm(value):
    from xctrs_tf.data.films.raw_film import MAX_PIXEL_MM, MIN_PIXEL_MM

    return value is None or MIN_PIXEL_MM <= value <= MAX_PIXEL_MM


def _crop_box(flag):
    if flag.value is None:
        return None
    try:
        left, top, right, bottom = (int(edge) for edge in flag.value)
    except ValueError as error:
        raise UserError(
            f"--{flag.name}={','.join(flag.value)}: write it as left,top,right,bottom in pixels"
        ) from error
    return left, top, right, bottom
