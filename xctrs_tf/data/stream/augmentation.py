"""Changes of a training patient that keep CT, labels and both films consistent.

Every change is a function of its arguments and a random generator alone.
"""

import math

import numpy as np
import scipy

from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.projection.film_processing import local_contrast, random_heights, tone_curve
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.stream.random_cubes import random_cube
from xctrs_tf.data.stream.rigid_motion import move_labels, moved_grid
from xctrs_tf.data.volumes.intensity import AIR_HU, normalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS, rotation_matrix

# Each change draws from a random generator of its own number, so that switching one on does not
# change what the others draw. The order of the patients has no number, the VGG planes have 5.
AUGMENTATIONS = {
    **{"mirror": 1, "histogram": 2, "pose": 3, "noise": 4, "films": 6, "contrast": 7},
    "cubes": 8,
}
# Changes of the films alone; `films` moves the patient, too.
OF_FILMS = ("histogram", "noise", "contrast")
# Changes that show more of the scan than the crop, where the prepared folder has it.
OF_THE_SCAN = ("films", "cubes")

# Numbers of the generators that decide whether a sample is changed at all. Mirroring has only
# this decision, and makes it with its own generator.
_DRAWN = {name: number + (0 if name == "mirror" else 100) for name, number in AUGMENTATIONS.items()}
# Share of the samples that are changed where the flag gives none; of all other changes it is 1.
_SHARES = {"mirror": 0.5}

ROTATION_DEG = 5.0
TRANSLATION = 0.03  # of the frame's edge
HISTOGRAM_PIECES = 6
NOISE = 0.02  # of a film's range
# Local contrast enhancement: tiles along an edge, and largest slope of a tile's curve.
TILES = (2, 8)
SLOPES = (1.5, 8.0)


def augmentation_shares(augment):
    """Return the share of the samples that each change is made to.

    Args:
        augment: names of `AUGMENTATIONS`, each with its share after a colon or without:
            "films:0.5" changes every other sample on average. `mirror` has 0.5 without, the
            others 1.

    Returns:
        Dict from name to share, above 0 and at most 1.

    Raises:
        UserError: an unknown name, one named twice, or no share.
    """
    shares = {}
    for entry in augment:
        name, _, share = entry.partition(":")
        if name not in AUGMENTATIONS:
            raise UserError(f"augment {name!r}: must be one of {', '.join(AUGMENTATIONS)}")
        if name in shares:
            raise UserError(f"augment {name}: named twice")
        try:
            shares[name] = float(share or _SHARES.get(name, 1.0))
        except ValueError:
            shares[name] = math.nan
        if not 0 < shares[name] <= 1:
            raise UserError(f"augment {entry}: the share must be above 0 and at most 1")
    return shares


def check_projection(shares, projection):
    """Refuse changes that the films of a data set cannot follow.

    Args:
        shares: of `augmentation_shares`.
        projection: the manifest's entry.

    Raises:
        UserError: which change, and why.
    """
    if shares.get("films") == 1:
        # Projects anew from the CT, however the prepared films were made.
        if "pose" in shares:
            raise UserError(
                "augment films: moves every patient as pose does; leave pose out, or give films "
                "a share, as films:0.5"
            )
        return
    films = FilmSimulation.from_json(projection)
    if "mirror" in shares:
        films.check_mirrored("augment mirror")
    if "pose" in shares and films != FilmSimulation():
        raise UserError(
            "augment pose: projects anew, which it can for parallel films of the crop alone, "
            "without poses and effects; leave it out"
        )


def augmented_arrays(
    case, augment, seed, index, reconstruction=None, film_normalization="percentile"
):
    """Return a changed patient as network input.

    A sample that `films` changes is not changed by `pose`, which moves the others.

    Args:
        case: a `Case`.
        augment: entries as `augmentation_shares` takes them.
        seed: of the stream.
        index: number of the sample in it.
        reconstruction: ``[x, y, z]`` of the patient's films, which follows no
            change but mirroring; None for none.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`; the films are
            changed first.

    Returns:
        Dict like `network_arrays`, with ``reconstruction`` where there is one.
    """
    shares = augmentation_shares(augment)

    def draws(name):
        return np.random.default_rng([seed, int(index), AUGMENTATIONS[name]])

    def drawn(name):
        share = shares.get(name, 0.0)
        # A generator of its own, so that the share does not change the draws of the change.
        rng = np.random.default_rng([seed, int(index), _DRAWN[name]])
        return share == 1 or rng.random() < share

    mirrored = drawn("mirror")
    if drawn("cubes"):
        cube = random_cube(case, draws("cubes"))
        # Its films are those of the crop: only networks that get no films learn from cubes.
        arrays = network_arrays(case, film_normalization) | cube
        return mirror(arrays) if mirrored else arrays
    made = {} if reconstruction is None else {"reconstruction": reconstruction[..., np.newaxis]}
    if drawn("films"):
        # Keras, which this module needs, takes seconds to load.
        from xctrs_tf.data.stream.random_films import mirrored_case, random_films

        # The patient is mirrored, not the films: with a cone beam the LA film of the mirrored
        # patient is another film.
        arrays = random_films(mirrored_case(case) if mirrored else case, draws("films"))
        arrays |= mirror(made) if mirrored else made
    else:
        arrays = (move(case, draws("pose")) if drawn("pose") else network_arrays(case)) | made
        arrays = mirror(arrays) if mirrored else arrays
    for name, change in _FILM_CHANGES.items():
        if drawn(name):
            rng = draws(name)
            arrays = {**arrays, **{view: change(arrays[view], rng) for view in VIEWS}}
    if film_normalization == "percentile":
        return arrays
    return {**arrays, **{v: normalise_film(arrays[v], film_normalization) for v in VIEWS}}


def mirror(arrays):
    """Mirror a patient, given as `network_arrays`, left to right.

    The LA film does not change: its parallel rays run along x and sum the same voxels.

    Args:
        arrays: dict of arrays of one patient; the first axis is x, except in ``la``.

    Returns:
        Dict with the same names: all arrays but ``la`` flipped along x.
    """
    return {
        name: array if name == "la" else np.flip(array, axis=0) for name, array in arrays.items()
    }


def randomise_histogram(film, rng):
    """Map the grey values of a film through a random increasing curve, to imitate exposures.

    The curve is piecewise linear; its `HISTOGRAM_PIECES` increments are drawn from a flat Dirichlet
    distribution. As in RadRotator, the networks then learn not to rely on the
    brightness of bone.

    Args:
        film: array in [0, 1].
        rng: `numpy.random.Generator`.

    Returns:
        float32 array of the same shape in [0, 1]; the order of grey values is kept.
    """
    return tone_curve(film, random_heights(HISTOGRAM_PIECES, rng))


def add_noise(film, rng):
    """Add Gaussian noise of a random strength up to `NOISE` to a film.

    Args:
        film: array in [0, 1].
        rng: `numpy.random.Generator`.

    Returns:
        float32 array of the same shape in [0, 1].
    """
    strength = np.float32(rng.uniform(0, NOISE))
    return np.clip(film + strength * rng.standard_normal(film.shape, np.float32), 0.0, 1.0)


def enhance_contrast(film, rng):
    """Enhance the local contrast of a film by a random amount, as X-ray systems do.

    Contrast limited adaptive histogram equalisation (CLAHE) with tiles of a random size and
    a random limit, mixed with the film in a random ratio.

    Args:
        film: array in [0, 1], ``(horizontal, vertical, 1)``.
        rng: `numpy.random.Generator`.

    Returns:
        float32 array of the same shape in [0, 1].
    """
    tiles, slope = rng.integers(*TILES, endpoint=True), np.exp(rng.uniform(*np.log(SLOPES)))
    share = np.float32(rng.random())
    # A tile needs pixels.
    tiles = min(int(tiles), len(film) // 2)
    enhanced = local_contrast(film[..., 0], tiles, slope)[..., np.newaxis]
    return (1 - share) * film + share * enhanced


_FILM_CHANGES = {
    "histogram": randomise_histogram,
    "contrast": enhance_contrast,
    "noise": add_noise,
}


def move(case, rng):
    """Rotate and shift a patient a little; return the network input.

    CT and labels are resampled about the frame's middle, and the films are the
    moved CT's, so that all four show one patient. Air enters at the borders.

    Args:
        case: a `Case` with parallel films of the crop.
        rng: `numpy.random.Generator`.

    Returns:
        Dict like `network_arrays`.
    """
    # Keras takes seconds to load, and only this change projects.
    from xctrs_tf.data.projection.drr import hu_to_mu, parallel_projection

    size = case.ct.shape[0]
    rotation = rotation_matrix(rng.uniform(-ROTATION_DEG, ROTATION_DEG, 3))
    shift = rng.uniform(-TRANSLATION, TRANSLATION, 3) * size
    to_patient, offset = moved_grid(size, rotation, shift)
    hu = scipy.ndimage.affine_transform(
        case.ct, to_patient, offset, output=np.float32, order=1, cval=AIR_HU
    )
    mu = hu_to_mu(hu)
    films = {view: np.asarray(parallel_projection(mu, case.spacing_mm, view)) for view in VIEWS}
    return {
        **{view: normalise_film(film)[..., np.newaxis] for view, film in films.items()},
        "ct": normalise_hu(hu)[..., np.newaxis],
        "segmentation": move_labels(case.segmentation, to_patient, offset),
    }
