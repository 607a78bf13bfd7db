"""Flags of two films: their files, and how they are brought to the network."""

from absl import flags

from experiments.common.cli import check_keras, load_tensorflow
from xctrs_tf.errors import UserError, log_lines
from xctrs_tf.geometry import VIEWS
from xctrs_tf.reconstruction.films.film_options import CROPS, FilmOptions

NAMES = {"ap": "anterior-posterior", "la": "lateral"}
GROUPS = {"Films": None}


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
        self._crop = flags.DEFINE_enum(
            "crop",
            "auto",
            CROPS,
            "auto: find C1 to C7 on a film without crop box that shows more than the network "
            "sees, crop it there and turn it upright. The program prints what it did. Flags that "
            "you give are kept. none: take all of such a film.",
            **where,
        )
        self.paths = {
            view: flags.DEFINE_string(
                view,
                None,
                f"The {NAMES[view]} film: DICOM, PNG, TIFF, JPEG, JPEG 2000, NIfTI, NRRD or "
                "MetaImage.",
                **where,
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
        self._check_views = flags.DEFINE_boolean(
            "check_views",
            True,
            "Refuse films that look swapped, turned, dark-boned or not like one patient's, and "
            "DICOM films whose headers name two patients; move the box of a film that shows the "
            "neck higher or larger than the other.",
            **where,
        )

    def check_given(self):
        """Refuse a command line without both films.

        Raises:
            UserError: a film is missing.
        """
        from xctrs_tf.data.films.pair.view_check import check_two_films

        check_two_films({view: flag.value for view, flag in self.paths.items()})

    def files(self):
        """Return the films' files: a dict by view."""
        return {view: flag.value for view, flag in self.paths.items()}

    def options(self):
        """Return the `FilmOptions` of the command line.

        Raises:
            UserError: a value that is impossible, such as a crop box that is none.
        """
        groups = (self._crop_boxes, self._pixels_mm, self._flips, self._invert, self._rotate)
        options = [self._rotate_both, *(flag for group in groups for flag in group.values())]
        return FilmOptions(
            crop=self._crop.value,
            check_views=self._check_views.value,
            **{flag.name: flag.value for flag in options if flag.present},
        )


def read_films(files, options, model, spacing_mm, output, private=True):
    """Read a pair of films by `read_pair`, say what is corrected, and draw it if it is refused.

    Args:
        files: `FilmFiles`.
        options: `FilmOptions`.
        model: as of `read_pair`.
        spacing_mm: edge of a voxel, or None.
        output: the pair's output folder; refused films are drawn beside it.
        private: let no other user of the machine see the picture of refused films.

    Returns:
        `FilmPair`.

    Raises:
        UserError: the films cannot be read, or are refused; the message names the picture.
    """
    from xctrs_tf.reconstruction.films.pair_reading import read_pair
    from xctrs_tf.reconstruction.output_folder import write_refused_films

    pair = read_pair(files.paths, options, model, spacing_mm, _search)
    picture = write_refused_films(pair, output, private)
    if pair.problem is not None:
        raise UserError(pair.problem + (f" (drawn in {picture})" if picture else ""))
    log_lines(pair.remarks, files.id)
    return pair


def _search(*film):
    """Search a film as `search_neck` does, if Keras is installed."""
    check_keras("the search for the neck", "give --ap_crop_box and --la_crop_box, or --crop=none")
    load_tensorflow()
    from xctrs_tf.neck_finder.neck_search import search_neck

    return search_neck(*film)
