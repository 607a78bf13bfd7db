"""Measure how well the neck is found on films of patients that the finder was not trained on.

  python -m experiments.studies.finder_error --scans=DIR --data=DATA --fold=0 --split=test

Films are computed from the whole scans of the fold's test or validation patients, in random
poses and looks, from the neck alone to all of head and shoulders. A third of them is upright,
a third turned by 90, 180 or 270 degrees, and a third mirrored. Writes the median and the
95th percentile of the errors, of all films and of those that experiments.reconstruct
accepts, how often orientations are taken for another and films without a neck for one.
Then the errors of the boxes that experiments.reconstruct takes of upright pairs of known
pixel size, and how many it refuses.

Weights that were trained on some of these patients are refused; where that is not known,
as of the weights of the package, a warning says so.
"""

import collections
import dataclasses
import functools
import logging
import pathlib
import sys
import time

import numpy as np
from absl import flags

from experiments.common import cli
from experiments.neck_finder.prepared_scans import PreparedScans
from experiments.neck_finder.train import films_of
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
SCANS = flags.DEFINE_string("scans", None, "Folder of the whole scans.", flag_values=FLAGS)
DATA = flags.DEFINE_string("data", None, "Prepared data folder with the folds.", flag_values=FLAGS)
FOLD = flags.DEFINE_integer("fold", 0, "The fold.", lower_bound=0, flag_values=FLAGS)
SPLIT = flags.DEFINE_enum(
    "split", "test", ("validation", "test"), "Whose films.", flag_values=FLAGS
)
WEIGHTS = flags.DEFINE_string(
    "weights",
    None,
    "Weights of experiments.neck_finder.train; by default those of the package.",
    flag_values=FLAGS,
)
NUM_FILMS = flags.DEFINE_integer(
    "num_films", 20, "Films of a patient and view.", lower_bound=1, flag_values=FLAGS
)
NUM_OTHERS = flags.DEFINE_integer(
    "num_others", 200, "Pictures of no neck.", lower_bound=0, flag_values=FLAGS
)
PIXELS = flags.DEFINE_integer("pixels", 288, "Longest edge of a film.", flag_values=FLAGS)
SEED = flags.DEFINE_integer("seed", 1, "Of poses and looks.", flag_values=FLAGS)
NUM_PAIRS = flags.DEFINE_integer(
    "num_pairs", 6, "Pairs of a patient.", lower_bound=0, flag_values=FLAGS
)
flags.mark_flags_as_required(["scans", "data"], flag_values=FLAGS)

# Pixels of the network that sees the pairs, and the edge of a voxel in mm.
FIELD = (64, 2.5)


@dataclasses.dataclass(frozen=True)
class _Case:
    """A film as its file may show it, and the truth."""

    film: np.ndarray
    drawn: object
    quarter: int
    mirrored: bool

    @property
    def kind(self):
        """Turn or mirror of the picture in the file."""
        turn = ("upright", "on a side", "upside down", "on a side")[self.quarter]
        return "mirrored" if self.mirrored else turn


def execute():
    """Print the errors of both views."""
    from xctrs_tf.neck_finder.finder_network import load_finder, read_trainings
    from xctrs_tf.neck_finder.neck_search import WEIGHTS as PACKAGED
    from xctrs_tf.neck_finder.neck_search import finder_network

    dataset = open_dataset(DATA.value)
    patients = getattr(dataset.split(FOLD.value), SPLIT.value)
    _require_held_out(dataset, patients, read_trainings(WEIGHTS.value or PACKAGED))
    network = load_finder(WEIGHTS.value) if WEIGHTS.value else finder_network()
    scans = PreparedScans(SCANS.value, dataset)
    films = {id: films_of(scans, id, 4, SEED.value) for id in patients}
    for view in VIEWS:
        _report(view, {id: films[id][view] for id in patients}, network)
    _report_pairs(films, network)
    _report_others(network)
    return 0


def _require_held_out(dataset, patients, trainings):
    """Refuse weights that were trained on some of the patients; warn where that is not known.

    Args:
        dataset: `Dataset` of the patients.
        patients: ids of those whose films are made.
        trainings: of `finder_network.read_trainings`.
    """
    weights = f"--weights={WEIGHTS.value}" if WEIGHTS.value else "the weights of the package"
    unknown = False
    for training in trainings:
        if training is None or training["data_sha256"] != dataset.content_hash():
            unknown = True
            continue
        fold = dataset.fold_with(training["split_sha256"])
        if fold is None:
            raise UserError(
                f"{weights}: the patients of {dataset.path} have been dealt to other folds since "
                "they were trained, so that these may be training patients; train them anew"
            )
        seen = sorted(set(patients) & set(dataset.split(fold).training))
        if seen:
            raise UserError(
                f"{weights}: trained on {len(seen)} of these {len(patients)} patients, such as "
                f"{seen[0]}: fold {fold} was held out; give --fold={fold} or other --weights"
            )
    if unknown:
        logging.warning(
            "it is not known whether %s were trained on some of these %d patients",
            *(weights, len(patients)),
        )


def _report(view, films, network):
    from xctrs_tf.neck_finder.training_windows import TrainingWindows

    rows, kinds = [], []
    started = time.perf_counter()
    for patient in progress_bar(films, description=view):
        windows = TrainingWindows(films[patient])
        rng = np.random.default_rng([SEED.value, *patient.encode(), *view.encode()])
        for number in range(NUM_FILMS.value):
            case = _case(windows, rng, ("upright", "turned", "mirrored")[number % 3])
            rows.append(_errors(case, view, network))
            kinds.append(case.kind)
    seconds = (time.perf_counter() - started) / len(rows)
    rows = np.array(rows)
    names = ("centre mm", "horizontal mm", "vertical mm", "height %", "edge mm", "angle deg")
    right, accepted = rows[:, 7:11].all(axis=1), rows[:, 13] == 1
    print(f"{view}: {len(rows)} films of {len(films)} patients, {seconds:.2f} s a film")
    for index, name in enumerate(names):
        print(f"  {name:14} {_spread(rows[:, index])}")
    print(f"  accepted: {accepted.sum()} of {len(rows)}")
    for index, name in enumerate(names[:3]):
        print(f"    {name:12} {_spread(rows[accepted, index])}")
    for kind in sorted(set(kinds), reverse=True):
        those = np.array(kinds) == kind
        taken = those & accepted
        print(
            f"    {kind:12} {those.sum()} films: {(taken & right).sum()} taken rightly, "
            f"{(taken & ~right).sum()} taken wrongly, {(those & ~accepted).sum()} refused"
        )
    for index, name in ((7, "upside"), (8, "quarter turn"), (9, "mirror"), (10, "inversion")):
        wrong = int((rows[:, index] == 0).sum())
        print(f"  {name:14} wrong in {wrong} of {len(rows)}")
    for index, name in ((6, "score"), (11, "turn margin"), (12, "mirror margin")):
        if np.isinf(rows[:, index]).any():
            continue
        quantiles = np.quantile(rows[:, index], (0, 0.01, 0.05, 0.5))
        print(f"  {name:14} least, 1 %, 5 %, median: " + ", ".join(f"{q:.2f}" for q in quantiles))
    if not right.all():
        print(f"  scores where the orientation is wrong: {np.round(rows[~right, 6], 1).tolist()}")


def _case(windows, rng, kind):
    drawn = windows.draw(rng, PIXELS.value)
    while drawn.share < 0.97:
        drawn = windows.draw(rng, PIXELS.value)
    film = np.where(drawn.inside, drawn.film, drawn.film[drawn.inside].min())
    quarter = int(rng.integers(1, 4)) if kind == "turned" else 0
    mirrored = kind == "mirrored"
    film = film[::-1] if mirrored else film
    return _Case(np.ascontiguousarray(np.rot90(film, quarter)), drawn, quarter, mirrored)


def _errors(case, view, network):
    from xctrs_tf.neck_finder.crop_proposal import MIN_SCORE, differences
    from xctrs_tf.neck_finder.neck_search import Orientation, search_neck

    mirrors = (case.mirrored,) if view == "ap" else (False, True)
    orientations = [
        Orientation(quarter, mirrored, inverted)
        for quarter in range(4)
        for mirrored in mirrors
        for inverted in (False, True)
    ]
    found = search_neck(case.film, view, orientations, network)
    pixels = PIXELS.value
    turn = np.deg2rad(90 * case.quarter)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    truth = case.drawn.centre * ((-1 if case.mirrored else 1), 1)
    away = matrix.T @ (np.array(found.centre) / pixels - 0.5) - truth
    mm = case.drawn.edge_mm
    angle = np.rad2deg(case.drawn.angle) * (-1 if case.mirrored else 1) + 90 * case.quarter
    angle = (found.angle_deg - angle + 180) % 360 - 180
    height = found.height / pixels / case.drawn.height
    edge = abs(away[1]) * mm + abs(height - 1) * case.drawn.height * mm / 2
    accepted = found.score >= MIN_SCORE and not differences(found, orientations[0])[1]
    upside, quarter = abs(angle) < 135, abs(angle) < 45
    return (
        np.hypot(*away) * mm, away[0] * mm, away[1] * mm, 100 * (height - 1), edge, angle,
        found.score, upside, quarter, found.mirrored == case.mirrored, not found.inverted,
        found.margins["turn"], found.margins["mirror"], accepted,
    )  # fmt: skip


def _report_pairs(films, network):
    from xctrs_tf.neck_finder.neck_search import search_neck
    from xctrs_tf.neck_finder.pair_crops import propose_crops
    from xctrs_tf.neck_finder.training_windows import TrainingWindows

    search = functools.partial(search_neck, network=network)
    errors, reasons = {view: [] for view in VIEWS}, []
    for patient in progress_bar(films, description="pairs"):
        windows = {view: TrainingWindows(films[patient][view]) for view in VIEWS}
        rng = np.random.default_rng([SEED.value, *patient.encode()])
        for _ in range(NUM_PAIRS.value):
            opened, truth = {}, {}
            for view in VIEWS:
                opened[view], truth[view] = _opened(view, windows[view], rng)
            try:
                found = propose_crops(opened, *FIELD, {view: () for view in VIEWS}, search)
            except UserError as error:
                reasons.append(str(error).split(";")[0])
                continue
            for view, film in found.items():
                errors[view].append(_box_error(film, truth[view]))
    count = len(films) * NUM_PAIRS.value
    print(f"pairs: {count}, of which {len(reasons)} are refused")
    for reason, times in collections.Counter(reasons).most_common():
        print(f"  {times} times: {reason}")
    if len(reasons) == count:
        return
    for view in VIEWS:
        away = np.array(errors[view])
        for name, values in (
            ("centre", np.hypot(*away.T)),
            ("horizontal", away[:, 0]),
            ("vertical", away[:, 1]),
        ):
            print(f"  {view} {name:10} mm {_spread(values)}")
    apart = np.array(errors["ap"])[:, 1] - np.array(errors["la"])[:, 1]
    print(f"  between both heights mm {_spread(apart)}")


def _spread(values):
    if not len(values):
        return "none"
    values = np.abs(values)
    return (
        f"median {np.median(values):6.2f}  95 % {np.quantile(values, 0.95):6.2f}"
        f"  largest {values.max():7.2f}"
    )


def _opened(view, windows, rng):
    """Draw an upright film as `reconstruct` opens it, and the true place in its pixels."""
    from xctrs_tf.data.films.pair.film_pair import OpenFilm
    from xctrs_tf.data.films.raw_film import RawFilm

    case = _case(windows, rng, "upright")
    # A square film without a sure neck is taken whole: here a strip is cut off.
    box = case.drawn.height * PIXELS.value
    middle = (case.drawn.centre + 0.5) * PIXELS.value
    rows = int(np.clip(min(0.06 * PIXELS.value, middle[1] - 0.6 * box), 4, None))
    film = case.film[:, rows:]
    pixel_mm = case.drawn.edge_mm / PIXELS.value
    raw = RawFilm(np.asarray(film, np.float32), (pixel_mm, pixel_mm))
    return OpenFilm(pathlib.Path(f"{view}.png"), raw), (middle[0], PIXELS.value - middle[1])


def _box_error(film, truth):
    """Return how far a box's centre is from the true place in mm, to the right and down."""
    width, height = film.raw.pixels.shape
    left, top, right, bottom = film.frame.crop_box or (0, 0, width, height)
    away = np.array([left + right, top + bottom]) / 2 - truth
    return away * film.raw.pixel_mm


def _report_others(network):
    from xctrs_tf.neck_finder.film_looks import random_look
    from xctrs_tf.neck_finder.neck_search import Orientation, search_neck
    from xctrs_tf.neck_finder.no_necks import no_neck

    if NUM_OTHERS.value == 0:
        return
    rng = np.random.default_rng(SEED.value)
    for view in VIEWS:
        orientations = [
            Orientation(quarter, False, inverted)
            for quarter in range(4)
            for inverted in (False, True)
        ]
        scores = []
        for _ in range(NUM_OTHERS.value):
            film = np.maximum(no_neck(PIXELS.value, rng), 0)
            look = random_look(film, np.ones(film.shape, bool), rng)
            scores.append(search_neck(look, view, orientations, network).score)
        quantiles = np.quantile(scores, (0.5, 0.95, 0.99, 1))
        print(
            f"{view}: {len(scores)} pictures of no neck; score median, 95 %, 99 %, largest: "
            + ", ".join(f"{q:.2f}" for q in quantiles)
        )


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
