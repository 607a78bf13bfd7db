"""Flags of two films from the world: their files, and how they are brought to the network."""

from absl import flags

from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS

NAMES = {"ap": "anterior-posterior", "la": "lateral"}

PATHS = {
    view: flags.DEFINE_string(view, None, f"The {NAMES[view]} film: DICOM, PNG, TIFF or NIfTI.")
    for view in VIEWS
}
CROP_BOXES = {
    view: flags.DEFINE_list(
        f"{view}_crop_box",
        None,
        f"left,top,right,bottom in pixels of --{view}, as a viewer counts them from the upper "
        "left corner: the square that the network is to see; by default all of the film.",
    )
    for view in VIEWS
}
PIXELS_MM = {
    view: flags.DEFINE_float(
        f"{view}_pixel_mm",
        None,
        f"Edge of a pixel of --{view} at the patient, where its file does not tell or is wrong.",
    )
    for view in VIEWS
}
FLIPS = {
    (view, direction): flags.DEFINE_boolean(
        f"{view}_flip_{direction}", False, f"Exchange {sides} of --{view}."
    )
    for view in VIEWS
    for direction, sides in (("horizontal", "left and right"), ("vertical", "top and bottom"))
}
INVERT = {
    view: flags.DEFINE_boolean(f"{view}_invert", False, f"Bone is dark on --{view}.")
    for view in VIEWS
}
SPACING_MM = flags.DEFINE_float(
    "spacing_mm",
    None,
    "Edge of a voxel. A film whose pixels have a known size is cut to it around its crop box's "
    "centre. By default the crop boxes' width in mm divided by the model's voxels a side; where "
    "no pixel's size is known, the median of the training patients.",
)

for _flag in (SPACING_MM, *PIXELS_MM.values()):
    flags.register_validator(
        _flag, lambda value: value is None or 0 < value < float("inf"), "must be above 0"
    )


def paths_and_frames():
    """The films' files and their `FilmFrame`s, as the flags say: two dicts by view.

    Raises:
        UserError: a crop box that is none.
    """
    frames = {
        view: FilmFrame(
            crop_box=_crop_box(CROP_BOXES[view]),
            pixel_mm=PIXELS_MM[view].value,
            flip_horizontal=FLIPS[view, "horizontal"].value,
            flip_vertical=FLIPS[view, "vertical"].value,
            invert=INVERT[view].value,
        )
        for view in VIEWS
    }
    return {view: PATHS[view].value for view in VIEWS}, frames


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
