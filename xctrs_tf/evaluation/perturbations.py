"""Films that are not as in training: pose, geometry, exposure, noise, swapped views.

Films are projected anew from the patient's CT, or changed; the CT and its labels stay
as they are. A wrong pose is thus an error of positioning: the network is expected to
show the patient as they would lie if positioned correctly.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from xctrs_tf.data.films.film_normalisation import normalise_film, resize_film
from xctrs_tf.data.projection.film_effects import film_effects
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry, VolumeFrame
from xctrs_tf.data.stream.augmentation import randomise_histogram
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.geometry import VIEWS

# Only the source's distance matters, since films are scaled to the isocentre; the
# detector stands behind the patient as on a wall stand.
_DETECTOR = 1.2
# Edge of the film whose local contrast is enhanced: its tiles are an eighth of it.
_CLAHE_PIXELS = 256


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """One way in which films can differ from those of training.

    Attributes:
        title: short description.
        unit: of its severities.
        severities: numbers, the mildest first; `(1,)` for a perturbation without
            degrees.
        films: function `(case, severity, rng)` to a dict of `ap` and `la`, in any
            unit; the generator is in the same state for every severity of a
            patient.
        needs_scan: whether `films` is a function `(case, scan)` instead, of the
            whole scan's `Volume`.
    """

    title: str
    unit: str
    severities: tuple
    films: Callable
    needs_scan: bool = False


def project_case(case, geometry, scan=None):
    """Simulate the films of a patient.

    Args:
        case: `Case`.
        geometry: `ProjectionGeometry`.
        scan: `Volume` of the whole scan, for the field of view ``full``.

    Returns:
        Dict of `ap` and `la`, line integrals.
    """
    # Keras takes seconds to load.
    from xctrs_tf.data.projection.drr import films_of

    spacing_mm = (case.spacing_mm,) * 3
    frame = VolumeFrame(case.ct.shape[0], case.spacing_mm, case.origin_mm)
    return films_of(scan or Volume(case.ct, spacing_mm, case.origin_mm), frame, geometry)


def _rotation(case, degrees, rng):
    turned = ProjectionGeometry(rotation_deg=tuple(degrees * _direction(rng)))
    return project_case(case, turned)


def _movement(case, degrees, rng):
    return {"ap": case.ap, "la": _rotation(case, degrees, rng)["la"]}


def _translation(case, distance_mm, rng):
    return project_case(
        case, ProjectionGeometry(translation_mm=tuple(distance_mm * _direction(rng)))
    )


def _cone(case, distance_mm, rng):
    del rng
    return project_case(
        case, ProjectionGeometry("cone", "crop", distance_mm, _DETECTOR * distance_mm)
    )


def _noise(case, photons, rng):
    return {
        view: film_effects(getattr(case, view), int(rng.integers(2**31)), photons=photons)
        for view in VIEWS
    }


def _exposure(case, stops, rng):
    # Both films of a patient are darker, or both brighter.
    power = 2.0 ** (stops * rng.choice((-1, 1)))
    return {view: normalise_film(getattr(case, view)) ** power for view in VIEWS}


def _histogram(case, share, rng):
    films = {view: normalise_film(getattr(case, view)) for view in VIEWS}
    return {
        view: (1 - share) * film + share * randomise_histogram(film, rng)
        for view, film in films.items()
    }


def _local_contrast(case, clip_limit, rng):
    del rng
    films = {view: normalise_film(getattr(case, view)) for view in VIEWS}
    return {view: _clahe(film, clip_limit) for view, film in films.items()}


def _clahe(film, clip_limit):
    """Enhance local contrast by another program than the augmentation's, and at a fixed size.

    The clip limit then means the same for films of any size.
    """
    # Only this needs it, and it takes a while to load.
    from skimage.exposure import equalize_adapthist

    large = np.clip(resize_film(film, _CLAHE_PIXELS), 0.0, 1.0)
    return resize_film(equalize_adapthist(large, clip_limit=clip_limit), len(film))


def _swapped(case, severity, rng):
    del severity, rng
    return {"ap": case.la, "la": case.ap}


def _full_field(case, scan):
    return project_case(case, ProjectionGeometry(field_of_view="full"), scan)


PERTURBATIONS = {
    "rotation": Perturbation(
        "patient turned in both films", "degrees", (1, 2, 3, 5, 7, 10), _rotation
    ),
    "movement": Perturbation(
        "patient turned between the films", "degrees", (1, 2, 3, 5, 7, 10), _movement
    ),
    "translation": Perturbation("patient shifted", "mm", (1, 2, 5, 10, 15), _translation),
    "cone": Perturbation(
        "cone beam, distance of the source", "mm", (3000, 2000, 1500, 1000, 541), _cone
    ),
    "full": Perturbation("whole scan instead of the crop", "", (1,), _full_field, needs_scan=True),
    "noise": Perturbation(
        "photons a pixel without patient", "", (100_000, 30_000, 10_000, 3000, 1000), _noise
    ),
    "exposure": Perturbation(
        "grey values to a power", "factors of 2", (0.25, 0.5, 0.75, 1), _exposure
    ),
    "histogram": Perturbation(
        "grey values through a random rising curve", "share", (0.25, 0.5, 0.75, 1), _histogram
    ),
    "contrast": Perturbation(
        "local contrast enhanced (CLAHE)", "clip limit", (0.005, 0.01, 0.02, 0.04), _local_contrast
    ),
    "swapped": Perturbation("AP and LA swapped", "", (1,), _swapped),
}


def perturbed_arrays(
    case, arrays, name, severity, seed, scan=None, film_normalization="percentile"
):
    """Return the networks' inputs for a patient under a perturbation.

    Args:
        case: `Case`.
        arrays: of `network_arrays`.
        name: key of `PERTURBATIONS`.
        severity: one of its severities.
        seed: of the draws; a patient's depend on their id too, and not on severity.
        scan: `Volume` of the whole scan, where the perturbation needs it.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`.

    Returns:
        Dict like `arrays` with other films.
    """
    perturbation = PERTURBATIONS[name]
    if perturbation.needs_scan:
        films = perturbation.films(case, scan)
    else:
        number = list(PERTURBATIONS).index(name)
        rng = np.random.default_rng([seed, number, *case.id.encode()])
        films = perturbation.films(case, severity, rng)
    films = {view: normalise_film(films[view], film_normalization) for view in VIEWS}
    return {**arrays, **{view: film[..., np.newaxis] for view, film in films.items()}}


def _direction(rng):
    """Return a random unit vector, uniform over all directions."""
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)
