"""Measure how often films are taken for photos, and photos for films.

python -m experiments.studies.photo_check_rates --data=DATA --films=DIR

Photos are computed: a film on an even background, seen by a camera that is tilted. Real
photos of films were not measured.
"""

import sys

import numpy as np
from absl import flags
from PIL import Image

from experiments.common import cli
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.input_folders import existing_folder, visible_entries
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS, screen

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_string("data", None, "Prepared data folder.", flag_values=FLAGS)
FILMS = flags.DEFINE_string(
    "films", None, "Folder of real films, as PNG, TIFF or JPEG pictures.", flag_values=FLAGS
)
EVERY = flags.DEFINE_integer(
    "every", 1, "Take every such patient.", lower_bound=1, flag_values=FLAGS
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the photos.", lower_bound=0, flag_values=FLAGS)
flags.mark_flags_as_required(["data"], flag_values=FLAGS)

EDGE = 512
TILTS_DEG = ((2, 4), (4, 7), (7, 12), (12, 20), (20, 35))
BACKGROUNDS = {"dark": 0.08, "bright": 0.97}
# Of the camera, in edges of the film.
_DISTANCE = 2.0


def photo(film, tilt_deg, direction_deg, level, rng):
    """Compute a photo of a film by a camera that is tilted.

    Args:
        film: values in [0, 1], ``[row, column]``.
        tilt_deg: angle between the camera's axis and the film's normal.
        direction_deg: direction of the tilt on the film.
        level: value of the background in [0, 1].
        rng: `numpy.random.Generator` of the noise and the shading.

    Returns:
        float32 ``[row, column]`` in [0, 1], the film within the background.
    """
    from scipy import ndimage

    tilt, direction = np.radians((tilt_deg, direction_deg))
    turn = np.array(
        [[np.cos(direction), -np.sin(direction)], [np.sin(direction), np.cos(direction)]]
    )
    shape = np.array(film.shape[::-1], float)
    margin = np.ceil(0.3 * shape.max())
    rows, columns = np.mgrid[: film.shape[0] + 2 * margin, : film.shape[1] + 2 * margin]
    # Places on the sensor in edges of the film, along and across the tilt.
    sensor = np.stack([columns, rows], -1) + 0.5 - margin - shape / 2
    along, across = np.moveaxis(sensor / shape.max() @ turn, -1, 0)
    depth = np.cos(tilt) - along / _DISTANCE * np.sin(tilt)
    places = np.stack([along / depth, across * np.cos(tilt) / depth], -1)
    # The tilt makes the film look shorter along it: keep its size at the centre.
    places = places @ turn.T * shape.max() + shape / 2 - 0.5
    picture = ndimage.map_coordinates(
        film, [places[..., 1], places[..., 0]], order=1, cval=level, prefilter=False
    )
    shading = 1 + 0.05 * np.linspace(-1, 1, picture.shape[1]) * rng.choice([-1, 1])
    noisy = ndimage.gaussian_filter(picture, 0.7) * shading + rng.normal(0, 0.01, picture.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)


def bordered(film, level, rng):
    """Return a film within a border, turned by a few degrees, as a scanner gives it."""
    from scipy import ndimage

    pad = rng.integers(5, 60, (2, 2))
    turned = ndimage.rotate(film, rng.uniform(-8, 8), reshape=True, order=1, cval=level)
    return np.pad(turned, pad, constant_values=level)


def is_refused(picture):
    """Return whether a picture is taken for a photo.

    Args:
        picture: values in [0, 1]; they are rounded to 8 bits as those of a file.
    """
    # SciPy's parts take some time to load; --help needs none.
    from xctrs_tf.data.films.formats.photo_check import check_outline

    try:
        check_outline("picture", np.round(255 * picture))
    except UserError:
        return True
    return False


def execute():
    """Print how many pictures of each kind are refused."""
    real = {} if FILMS.value is None else {"real": _read_pictures(FILMS.value)}
    dataset = open_dataset(DATA.value)
    cases = [dataset.load(patient) for patient in dataset.ids[:: EVERY.value]]
    films = [_large(screen(getattr(case, view), view)) for case in cases for view in VIEWS]
    groups = {"computed": films, **real}
    rng = np.random.default_rng(SEED.value)
    for name, group in groups.items():
        _print(f"{name} films", group)
        for border, level in BACKGROUNDS.items():
            _print(f"{name}, turned, {border} border", [bordered(f, level, rng) for f in group])
        for low, high in TILTS_DEG:
            for border, level in BACKGROUNDS.items():
                photos = (
                    photo(film, rng.uniform(low, high), rng.uniform(0, 360), level, rng)
                    for film in group
                )
                _print(f"{name}, photos at {low} to {high} degrees, {border}", photos)
    return 0


def _read_pictures(folder):
    """Read the pictures in a folder that can be films, in [0, 1]; the check itself is left out."""
    from xctrs_tf.data.films.formats.picture_film import KINDS, PICTURE_SUFFIXES

    folder = existing_folder(folder)
    files = [each for each in visible_entries(folder) if each.suffix.lower() in PICTURE_SUFFIXES]
    if not files:
        raise UserError(f"--films={folder}: holds no PNG, TIFF or JPEG pictures; name their folder")
    pictures = []
    for file in files:
        try:
            with Image.open(file) as picture:
                # Others have more than 8 bits.
                grey = picture if picture.mode[0] in "IF" else picture.convert("L")
                pixels = np.asarray(grey, np.float32)
        except (OSError, ValueError, SyntaxError) as error:
            raise UserError(f"{file}: damaged, or not {KINDS}; remove it") from error
        pictures.append(pixels / (255 if grey.mode == "L" else max(float(pixels.max()), 1.0)))
    return pictures


def _large(film):
    picture = Image.fromarray(np.ascontiguousarray(normalise_film(film), np.float32))
    return np.clip(np.asarray(picture.resize((EDGE, EDGE), Image.Resampling.BICUBIC)), 0, 1)


def _print(kind, pictures):
    refused = [is_refused(picture) for picture in pictures]
    print(f"{kind:48} {len(refused):4} pictures, {100 * np.mean(refused):5.1f} % refused")


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
