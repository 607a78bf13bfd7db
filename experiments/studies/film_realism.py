"""Measure how far computed AP films are from real ones, before and after augmentation.

python -m experiments.studies.film_realism --data=DATA --films=FOLDER --boxes=BOXES.csv

BOXES.csv has the columns file, left, top, right, bottom: a square box of the neck in each film
of FOLDER, drawn by hand, in the file's pixels. It should hold what the frame of DATA holds: C1..C7
in the middle, three fifths of its height. The films are resampled to DATA's size.

--half=tuning uses every second film of BOXES.csv alone; --half=report compares the others, which
no strength of an augmentation was chosen with. The classifier learns from both halves then.
"""

import csv
import pathlib
import sys

import numpy as np
from absl import flags
from PIL import Image

from experiments.common import cli
from xctrs_tf import provenance
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.film_normalisation import normalise_film, resize_film
from xctrs_tf.data.films.raw_film import screen_to_film
from xctrs_tf.data.stream.augmentation import augmented_arrays
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.film_distance import film_distance
from xctrs_tf.files import write_json
from xctrs_tf.progress import progress_bar

# Names of the rows and the augmentations of their films.
ROWS = {
    "plain parallel films": (),
    "histogram, pose, noise": ("histogram", "pose", "noise"),
    "histogram, pose, noise, contrast": ("histogram", "pose", "noise", "contrast"),
    "films": ("films",),
}
# Crops of a film: the box itself, and others shifted by up to so much of its edge.
CROPS = 2
SHIFT = 0.05
COLUMNS = ("file", "left", "top", "right", "bottom")
# Which films of BOXES.csv count.
HALVES = {"all": slice(None), "tuning": slice(0, None, 2), "report": slice(1, None, 2)}
# Three in each half.
MIN_FILMS = 6

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_string("data", None, "Prepared data folder.", flag_values=FLAGS)
FILMS = flags.DEFINE_string("films", None, "Folder of real AP films.", flag_values=FLAGS)
BOXES = flags.DEFINE_string("boxes", None, "CSV of a box of the neck in each.", flag_values=FLAGS)
HALF = flags.DEFINE_enum("half", "all", list(HALVES), "Which films count.", flag_values=FLAGS)
SEED = flags.DEFINE_integer(
    "seed", 0, "Of augmentations, crops and folds.", lower_bound=0, flag_values=FLAGS
)
JSON = flags.DEFINE_string(
    "json", None, "JSON file of the results; none is written without.", flag_values=FLAGS
)
flags.mark_flags_as_required(["data", "films", "boxes"], flag_values=FLAGS)


def execute():
    """Print a row of distances for each augmentation; return the exit status."""
    dataset = open_dataset(DATA.value)
    boxes = read_boxes(pathlib.Path(BOXES.value))
    real = [
        _real_crops(pathlib.Path(FILMS.value) / name, box, dataset.size, number)
        for number, (name, box) in enumerate(boxes)
    ]
    scored = range(len(real))[HALVES[HALF.value]]
    count = len(scored)
    if HALF.value == "tuning":
        # The classifier does not learn from the films of the report.
        real, scored = [real[number] for number in scored], None
    cases = [dataset.load(patient) for patient in dataset.ids]
    rows = {}
    for title, names in progress_bar(list(ROWS.items()), unit="row"):
        computed = [
            [
                augmented_arrays(case, names, SEED.value, number * CROPS + crop)["ap"][..., 0]
                for crop in range(CROPS if names else 1)
            ]
            for number, case in enumerate(cases)
        ]
        rows[title] = film_distance(real, computed, scored, seed=SEED.value)
    print(f"{count} real films, {len(cases)} patients of {dataset.path}, {dataset.size} pixels")
    areas = list(rows["films"].auc)
    print(f"{'':34} {'distance of':^28}   AUC by")
    heads = " ".join(f"{name:>8}" for name in areas)
    print(f"{'computed films':34} {'grey':>7} {'gradient':>9} {'spectrum':>9}  {heads} (95 %)")
    for title, row in rows.items():
        low, high = row.auc_interval
        print(
            f"{title:34} {row.grey:7.3f} {row.gradient:9.4f} {row.spectrum:9.3f}  "
            f"{' '.join(f'{row.auc[name]:8.3f}' for name in areas)} ({low:.3f} to {high:.3f})"
        )
    if JSON.value:
        origin = provenance.collect(n=count, seed=SEED.value, data_hash=dataset.content_hash())
        results = {title: vars(row) for title, row in rows.items()}
        write_json(JSON.value, {**origin, "results": results}, indent=2)
    return 0


def read_boxes(path):
    """Read the boxes of the neck.

    Args:
        path: `pathlib.Path` of a CSV file of the columns `COLUMNS`.

    Returns:
        List of file names and boxes of four whole numbers.

    Raises:
        UserError: missing, no such columns, or a box that is not square.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--boxes={path}: cannot be read ({error})") from error
    boxes = []
    for number, row in enumerate(rows, start=2):
        try:
            box = tuple(int(row[name]) for name in COLUMNS[1:])
            name = row["file"]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"--boxes={path}: line {number} needs {', '.join(COLUMNS)}, the box in whole pixels"
            ) from error
        if not box[2] - box[0] == box[3] - box[1] > 0:
            raise UserError(f"--boxes={path}: line {number}: the box is not square")
        boxes.append((name, box))
    if len(boxes) < MIN_FILMS:
        raise UserError(f"--boxes={path}: {len(boxes)} films; at least {MIN_FILMS} are needed")
    return boxes


def _real_crops(path, box, size, number):
    """Return the box of a film and boxes beside it, as network input."""
    film = _read(path)
    width, height = film.shape
    left, top, right, bottom = box
    if min(left, top) < 0 or right > width or bottom > height:
        raise UserError(
            f"--boxes={BOXES.value}: the box {box} does not lie in the {width} x {height} pixels "
            f"of {path}; draw it there"
        )
    rng = np.random.default_rng([SEED.value, number])
    edge = right - left
    reach = int(SHIFT * edge)
    crops = []
    for shift in ((0, 0), *rng.integers(-reach, reach + 1, (CROPS - 1, 2))):
        x, y = np.clip(np.add((left, top), shift), 0, (width - edge, height - edge))
        crop = film[x : x + edge, height - y - edge : height - y]
        crops.append(normalise_film(resize_film(crop, size)))
    return crops


def _read(path):
    """Read a picture as ``[horizontal, vertical]``; colours become grey."""
    try:
        with Image.open(path) as picture:
            return screen_to_film(np.asarray(picture.convert("L"), np.float32))
    except OSError as error:
        raise UserError(f"{path}: no picture that can be read ({error})") from error


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
