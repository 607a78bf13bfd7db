"""Training films like those of the world: random geometry of the beam, the patient and the box.

Every change is a function of its arguments and a random generator alone.
"""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.projection.array_projection import project_array
from xctrs_tf.data.projection.attenuation import attenuation
from xctrs_tf.data.stream.film_appearance import random_appearance
from xctrs_tf.data.stream.rigid_motion import (
    euler_degrees,
    move_labels,
    moved_grid,
)
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.geometry import RAY_AXIS, VIEWS, rotation_matrix

SOURCE_MM = (1000.0, 2000.0)
# The patient's pose, as in the augmentation `pose`: CT, labels and films move together.
POSE_DEG = 5.0
POSE_SHARE = 0.03  # of the frame's edge
# Differences of each film from that pose: the patient moved between the films, the central
# ray passes beside the neck, and the crop box was drawn by hand.
FILM_DEG = 3.0
FILM_MM = 3.0
FILM_SCALE = 0.03
# Factor on the contrast of bone: tube voltage and hardening of the beam.
BONE_CONTRAST = (0.6, 1.1)


def random_films(case, rng):
    """Move a patient a little and expose both films anew, each in its own way.

    The films show the scan where the prepared folder has it, else the crop. What lies beside
    and above either continues its outermost voxels.

    Args:
        case: a `Case`.
        rng: `numpy.random.Generator`.

    Returns:
        Dict like `network_arrays`.

    Raises:
        UserError: a film shows nothing.
    """
    size, spacing_mm = case.ct.shape[0], case.spacing_mm
    rotation = rotation_matrix(rng.uniform(-POSE_DEG, POSE_DEG, 3))
    shift = rng.uniform(-POSE_SHARE, POSE_SHARE, 3) * size
    hu = case.ct if case.scan is None else case.scan
    mu = attenuation(hu, rng.uniform(*BONE_CONTRAST))
    first_mm = (np.asarray(case.scan_start) - (size - 1) / 2) * spacing_mm
    arrays = {}
    for view in VIEWS:
        film = project_array(
            mu,
            (spacing_mm,) * 3,
            first_mm,
            view,
            (size, size),
            **_film_geometry(rotation, shift * spacing_mm, view, spacing_mm, rng),
            beyond="border",
        )
        film = random_appearance(film, spacing_mm, rng)
        arrays[view] = normalise_film(film)[..., np.newaxis]
    matrix, offset = moved_grid(size, rotation, shift)
    ct = scipy.ndimage.affine_transform(
        hu,
        matrix,
        offset - case.scan_start,
        (size,) * 3,
        output=np.float32,
        order=1,
        mode="nearest",
    )
    return {
        **arrays,
        "ct": normalise_hu(ct)[..., np.newaxis],
        "segmentation": move_labels(case.segmentation, matrix, offset),
    }


def mirrored_case(case):
    """Return a patient mirrored left to right, whose films have to be made anew.

    Args:
        case: a `Case`.

    Returns:
        `Case` without films, which a cone beam does not mirror.
    """
    scan, start = case.scan, case.scan_start
    if scan is not None:
        start = (case.ct.shape[0] - start[0] - scan.shape[0], *start[1:])
        scan = np.ascontiguousarray(scan[::-1])
    return dataclasses.replace(
        case,
        ct=np.ascontiguousarray(case.ct[::-1]),
        segmentation=case.segmentation[::-1],
        ap=None,
        la=None,
        scan=scan,
        scan_start=start,
    )


def _film_geometry(rotation, shift_mm, view, spacing_mm, rng):
    """Draw the arguments of `project_array` for one film of a patient in a pose."""
    film = rotation_matrix(rng.uniform(-FILM_DEG, FILM_DEG, 3))
    moved_mm = rng.uniform(-FILM_MM, FILM_MM, 3)
    moved_mm[RAY_AXIS[view]] = 0.0
    return {
        "pixel_mm": spacing_mm * rng.uniform(1 - FILM_SCALE, 1 + FILM_SCALE),
        "source_mm": rng.uniform(*SOURCE_MM),
        "rotation_deg": euler_degrees(film @ rotation),
        "translation_mm": film @ shift_mm + moved_mm,
    }
