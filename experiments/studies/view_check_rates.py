"""Measure the error rates of the check of two films, and how well heights are measured.

    python -m experiments.studies.view_check_rates --data=DATA
    python -m experiments.studies.view_check_rates --data=DATA --fold=0

True pairs: films of one patient that are exposed, projected or cut out otherwise. In rows of a
shift or a scale the AP film shows the middle three quarters of its file, and the box of the LA
film is moved or scaled. Pairs with a fault and films of two patients follow. Each row counts
the pairs that were refused, and the others that got a warning or whose box was moved; for true
pairs the difference, after that, between the heights of both boxes, in mm at their ends.
"""

import pathlib
import sys

import numpy as np
from absl import flags

from experiments.common import cli
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.pair.film_pair import OpenFilm, cut_pair
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.data.projection.film_processing import enhance_detail, local_contrast
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.perturbations import project_case
from xctrs_tf.geometry import VIEWS
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_multi_string(
    "data",
    None,
    "Prepared data folder; given several times, each has its own table.",
    flag_values=FLAGS,
)
FOLD = flags.DEFINE_integer(
    "fold",
    None,
    "Only the patients of --split of this fold; by default all patients.",
    lower_bound=0,
    flag_values=FLAGS,
)
SPLIT = flags.DEFINE_enum(
    "split",
    "test",
    ["test", "validation"],
    "With --fold: whose films. Thresholds are chosen on validation.",
    flag_values=FLAGS,
)
OTHERS = flags.DEFINE_integer(
    "others",
    5,
    "Films of how many other patients each AP film is paired with.",
    lower_bound=1,
    flag_values=FLAGS,
)
PATIENTS = flags.DEFINE_integer(
    "patients",
    None,
    "At most this many patients; by default all.",
    lower_bound=2,
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["data"], flag_values=FLAGS)

# Share of the film's edge beside the AP film's box, on each side.
_MARGIN = 1 / 8
_SHIFTS_MM = (2.5, 5, 10, 15, 20)
_SCALES = (0.85, 0.9, 1.1, 1.2)
_HEADER = (
    f"{'films':44}{'pairs':>7}{'refused':>9}{'warned':>8}{'moved':>7}{'mm: median':>12}{'95 %':>7}"
)


def execute():
    """Print a table for each data folder; return the exit status."""
    if FOLD.value is None and FLAGS[SPLIT.name].present:
        raise UserError(
            "--split: only with --fold; name the fold, or leave it out for all patients"
        )
    datasets = [open_dataset(path) for path in DATA.value]
    for dataset in datasets:
        if len(datasets) > 1:
            print(dataset.path)
        _print_table(dataset)
    return 0


def _print_table(dataset):
    ids = dataset.ids if FOLD.value is None else getattr(dataset.split(FOLD.value), SPLIT.value)
    rng = np.random.default_rng(0)
    cases = [dataset.load(patient) for patient in ids[: PATIENTS.value]]
    rows = {}
    for number, case in enumerate(progress_bar(cases, unit="patient")):
        others = _others(cases, number, rng)
        for kind, ap, la, boxes in (*_true_pairs(case, rng), *_false_pairs(case, others)):
            pair = _judged(ap, la, boxes, dataset.size)
            rows.setdefault(kind, []).append(_outcome(pair, case.spacing_mm, boxes is not None))
    print(_HEADER)
    for kind, outcomes in rows.items():
        print(_line(kind, outcomes))


def _others(cases, number, rng):
    others = [case for place, case in enumerate(cases) if place != number]
    chosen = rng.permutation(len(others))[: OTHERS.value]
    return [others[place] for place in chosen]


def _true_pairs(case, rng):
    """Yield kind, AP film, LA film and, where they are cut, the boxes of films of one patient."""
    ap, la = normalise_film(case.ap), normalise_film(case.la)
    yield "as projected", ap, la, None
    for gamma in (0.5, 2):
        yield f"LA to the power of {gamma}", ap, la**gamma, None
        yield f"both to the power of {gamma}", ap**gamma, la**gamma, None
    yield "local contrast (CLAHE)", _clahe(ap), _clahe(la), None
    yield "detail enhanced", *(enhance_detail(film, (2, 1.7, 1.4)) for film in (ap, la)), None
    direction = rng.standard_normal(3)
    for degrees in (5, 10):
        turned = tuple(degrees * direction / np.linalg.norm(direction))
        yield f"turned by {degrees} degrees", *_projected(case, rotation_deg=turned), None
        movement = _projected(case, rotation_deg=turned)[1]
        yield f"turned by {degrees} degrees between the films", ap, movement, None
    for distance in (1500.0, 1000.0):
        cone = _projected(case, "cone", "crop", distance, 1.2 * distance)
        yield f"cone, source at {distance:.0f} mm", *cone, None
    for shift_mm in _SHIFTS_MM:
        for sign in (-1, 1):
            boxes = _boxes(len(la), sign * shift_mm / case.spacing_mm, 1)
            yield f"LA moved by {shift_mm} mm", ap, la, boxes
            if shift_mm in (5, 10):
                yield f"LA moved by {shift_mm} mm, CLAHE", _clahe(ap), _clahe(la), boxes
    for scale in _SCALES:
        boxes = _boxes(len(la), 0, scale)
        yield f"LA {scale} times as large", ap, la, boxes
    boxes = _boxes(len(la), 10 / case.spacing_mm, 1.1)
    yield "10 mm, 1.1 times, to the power of 2", ap, la**2, boxes
    tight = _boxes(len(la), 0, 1)
    cut = [_cut(film, box) for film, box in zip((ap, la), tight.values(), strict=True)]
    yield "files without what is beside the box", *cut, None


def _false_pairs(case, others):
    """Yield what `_true_pairs` does, of films that are no pair."""
    ap, la = normalise_film(case.ap), normalise_film(case.la)
    faults = {
        "swapped": (la, ap),
        "LA mirrored": (ap, la[::-1]),
        "LA upside down": (ap, la[:, ::-1]),
        "AP upside down": (ap[:, ::-1], la),
        "both upside down": (ap[:, ::-1], la[:, ::-1]),
        "LA turned by 180 degrees": (ap, la[::-1, ::-1]),
        "LA turned by 90 degrees": (ap, np.rot90(la)),
        "AP turned by 90 degrees": (np.rot90(ap), la),
        "LA dark-boned": (ap, 1 - la),
        "both dark-boned": (1 - ap, 1 - la),
        "AP twice, one mirrored": (ap, ap[::-1]),
        "LA twice, one exposed otherwise": (la, la**2),
    }
    for kind, films in faults.items():
        yield kind, *films, None
    for other in others:
        yield "films of two patients", ap, normalise_film(other.la), None
    for other in others:
        boxes = _boxes(len(la), 5 / case.spacing_mm, 1)
        yield "films of two patients, LA moved by 5 mm", ap, normalise_film(other.la), boxes


def _clahe(film):
    # Tiles of 8 pixels, and the limit of slope of common programs.
    return local_contrast(film, max(1, len(film) // 8), 2.56)


def _projected(case, *geometry, **pose):
    films = project_case(case, ProjectionGeometry(*geometry, **pose))
    return tuple(normalise_film(films[view]) for view in VIEWS)


def _boxes(length, up, scale):
    """Return the AP film's box, and one that shows the neck higher by pixels, and larger."""
    margin = round(_MARGIN * length)
    edge = round((length - 2 * margin) / scale)
    top = (length - edge) // 2 + round(up)
    left = (length - edge) // 2
    return {
        "ap": (margin, margin, length - margin, length - margin),
        "la": (left, top, left + edge, top + edge),
    }


def _cut(film, box):
    left, top, right, bottom = box
    return film[left:right, len(film) - bottom : len(film) - top]


def _judged(ap, la, boxes, size):
    opened = {
        view: OpenFilm(
            pathlib.Path(f"{view}.png"),
            RawFilm(np.asarray(film, np.float32)),
            FilmFrame(boxes and boxes[view]),
        )
        for view, film in (("ap", ap), ("la", la))
    }
    return cut_pair(opened, size)


def _outcome(pair, spacing_mm, is_cut):
    """Return whether a pair was refused, warned of and moved, and the largest error in mm."""
    if pair.problem is not None:
        return True, False, False, np.nan
    ap, la = (pair.used_boxes[view] for view in VIEWS)
    moved = pair.used_boxes != pair.boxes
    edges = np.abs(np.subtract(ap, la))[[1, 3]]
    return False, bool(pair.doubts), moved, edges.max() * spacing_mm if is_cut or moved else 0.0


def _line(kind, outcomes):
    refused, warned, moved, errors = np.array(outcomes, np.float64).T
    shares = [100 * np.mean(values) for values in (refused, warned, moved)]
    errors = errors[np.isfinite(errors)]
    text = f"{kind:44}{len(outcomes):7}{shares[0]:8.1f}%{shares[1]:7.1f}%{shares[2]:6.1f}%"
    if len(errors):
        median, high = np.percentile(errors, (50, 95))
        text += f"{median:12.1f}{high:7.1f}"
    return text


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
