"""Train the network that finds C1..C7 on a film, on films computed from whole scans.

  python -m experiments.neck_finder.train --scans=DIR --data=DATA --fold=0 --output=FILE.npz

DIR holds `<id>_ct.nii.gz` in HU and `<id>_seg.nii.gz` (1..7 = C1..C7, on a grid of its
own), head to shoulders, of the patients of the prepared folder DATA. The fold's test and
validation patients are left out. Phantoms are added. The same command goes on with an
interrupted training from FILE.keras; FILE.keras.json beside it tells the flags and the data.
FILE.npz keeps the hashes of the data and of the patients left out, which finder_error
compares.
"""

import collections
import multiprocessing
import pathlib
import sys

import numpy as np
from absl import flags
from PIL import Image

from experiments.common import cli
from experiments.neck_finder.prepared_scans import PreparedScans
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError
from xctrs_tf.files import (
    atomic_path,
    read_json,
    remove_leftovers,
    sha256_of,
    write_json,
)
from xctrs_tf.geometry import VIEWS
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
SCANS = flags.DEFINE_string("scans", None, "Folder of the whole scans.", flag_values=FLAGS)
DATA = flags.DEFINE_string("data", None, "Prepared data folder with the folds.", flag_values=FLAGS)
FOLD = flags.DEFINE_integer("fold", 0, "Fold to leave out.", lower_bound=0, flag_values=FLAGS)
NO_NECKS = flags.DEFINE_string(
    "no_necks", None, "Folder of pictures that show no neck, bone bright.", flag_values=FLAGS
)
WEIGHTS = flags.DEFINE_string(
    "weights", None, "Weights to go on from, of an earlier output.", flag_values=FLAGS
)
OUTPUT = flags.DEFINE_string(
    "output", None, "The file of weights to write: FILE.npz.", flag_values=FLAGS
)
NUM_PHANTOMS = flags.DEFINE_integer("num_phantoms", 48, "Phantoms to add.", flag_values=FLAGS)
NUM_FILMS = flags.DEFINE_integer(
    "num_films", 16, "Films of a patient and view, each in another pose.", flag_values=FLAGS
)
STRETCH = flags.DEFINE_float(
    "stretch",
    0.12,
    "Patients of other proportions: films are wider, deeper and taller by up to this share.",
    lower_bound=0,
    upper_bound=0.5,
    flag_values=FLAGS,
)
STEPS = flags.DEFINE_integer("steps", 1500, "Training steps.", lower_bound=1, flag_values=FLAGS)
BATCH = flags.DEFINE_integer("batch", 64, "Windows of a step.", lower_bound=1, flag_values=FLAGS)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 3e-3, "At the start.", flag_values=FLAGS)
SEED = flags.DEFINE_integer("seed", 0, "Of films, looks and weights.", flag_values=FLAGS)
flags.mark_flags_as_required(["scans", "data", "output"], flag_values=FLAGS)

PHANTOM_GRID, PHANTOM_MM = (220, 130, 190), 2.0
# A phantom's body ends there, below and above the middle of C1..C7.
PHANTOM_ENDS_MM = (-110.0, 90.0)

# Steps between two saved states, and batches that are drawn ahead.
_SAVE_STEPS, _AHEAD = 100, 4
# Flags that decide what is learnt. Of --data and --weights the content counts.
_DECIDING = (
    *(SCANS, FOLD, NO_NECKS, NUM_PHANTOMS, NUM_FILMS),
    *(STRETCH, STEPS, BATCH, LEARNING_RATE, SEED),
)

_windows = None


def execute():
    """Train on the fold's training patients and write the weights."""
    output = pathlib.Path(OUTPUT.value)
    if output.suffix != ".npz":
        raise UserError(f"--output={output}: must end with .npz")
    state, record = _state_files(output)
    dataset = open_dataset(DATA.value)
    training = dataset.split(FOLD.value).training
    told = _told()
    cli.lock_output(output, beside=True)
    for file in (state, record):
        remove_leftovers(output.parent, file.name)
    _check_state(state, record, told)
    write_json(record, told)
    from xctrs_tf.neck_finder.finder_network import read_trainings, save_weights

    trainings = read_trainings(WEIGHTS.value) if WEIGHTS.value else []
    trainings.append({name: told[name] for name in ("data_sha256", "fold", "split_sha256")})
    scans = PreparedScans(SCANS.value, dataset)
    films = [
        films_of(scans, patient, NUM_FILMS.value, SEED.value, STRETCH.value)
        for patient in progress_bar(training, description="films of scans")
    ]
    films += [
        films_of_phantom(number, NUM_FILMS.value, SEED.value, STRETCH.value)
        for number in progress_bar(range(NUM_PHANTOMS.value), description="films of phantoms")
    ]
    network = _train({view: [film for each in films for film in each[view]] for view in VIEWS})
    necks = [film.neck_mm[1] for patient in films for film in patient["ap"]]
    save_weights(network, float(np.median(necks)), output, trainings)
    for file in (state, record):
        file.unlink(missing_ok=True)
    print(OUTPUT.value)
    return 0


def _state_files(output):
    """Return the paths of the state of an interrupted training and of what it is of."""
    state = output.with_suffix(".keras")
    return state, state.with_name(f"{state.name}.json")


def _told():
    """Return what decides the training, as JSON values."""
    dataset = open_dataset(DATA.value)
    return {
        **{flag.name: flag.value for flag in _DECIDING},
        "data_sha256": dataset.content_hash(),
        "split_sha256": dataset.split_hash(FOLD.value),
        "weights_sha256": WEIGHTS.value and sha256_of(WEIGHTS.value),
    }


def _check_state(state, record, told):
    """Refuse the state of another training."""
    if not state.exists():
        return
    try:
        before = read_json(record)
    except (OSError, ValueError):
        before = {}
    differing = [
        f"{name} is another one"
        if name.endswith("_sha256")
        else f"--{name} was {before.get(name)} and is {value}"
        for name, value in told.items()
        if before.get(name) != value
    ]
    if differing:
        why = "; ".join(differing) if before else f"{record.name} beside it is missing or damaged"
        raise UserError(
            f"{state}: of another training ({why}); give the same flags, name another --output, or "
            "remove it to start anew"
        )


def films_of(scans, patient, count, seed, stretch=0.0):
    """Project the whole scan of a patient of `PreparedScans`: dict from view to `ScanFilm`s."""
    from xctrs_tf.neck_finder.scan_films import scan_films

    ct, labels = scans.load(patient)
    rng = np.random.default_rng([seed, *patient.encode()])
    return {view: scan_films(ct, labels, view, count, rng, stretch) for view in VIEWS}


def films_of_phantom(number, count, seed, stretch=0.0):
    """Project a phantom with head and shoulders: dict from view to `ScanFilm`s."""
    from xctrs_tf.neck_finder.scan_films import scan_films

    phantom = make_phantom(number, PHANTOM_GRID, PHANTOM_MM)
    heights = phantom.origin_mm[2] + PHANTOM_MM * np.arange(PHANTOM_GRID[2])
    part = np.flatnonzero((heights > PHANTOM_ENDS_MM[0]) & (heights < PHANTOM_ENDS_MM[1]))
    origin = (*phantom.origin_mm[:2], float(heights[part[0]]))
    ct, labels = (
        Volume(array[..., part[0] : part[-1] + 1], (PHANTOM_MM,) * 3, origin)
        for array in (phantom.ct, phantom.segmentation)
    )
    rng = np.random.default_rng([seed, number])
    return {view: scan_films(ct, labels, view, count, rng, stretch) for view in VIEWS}


def _train(films):
    import keras

    from xctrs_tf.neck_finder.finder_network import build_finder, finder_loss, load_finder

    keras.utils.set_random_seed(SEED.value)
    state, _ = _state_files(pathlib.Path(OUTPUT.value))
    network = _resumed(state)
    if network is None:
        start = load_finder(WEIGHTS.value) if WEIGHTS.value else build_finder()
        network = _compiled(start, finder_loss)
    first = int(network.optimizer.iterations)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, _start_worker, (films, _pictures(), SEED.value, BATCH.value)) as pool:
        bar = progress_bar(
            _drawn(pool, first), total=STEPS.value, initial=first, description="training"
        )
        for step, (inputs, targets) in enumerate(bar, first + 1):
            loss = network.train_on_batch(inputs, targets)
            bar.set_postfix(loss=f"{float(loss):.3f}")
            if step % _SAVE_STEPS == 0:
                with atomic_path(state) as temporary:
                    network.save(temporary)
    return network


def _drawn(pool, first):
    """Yield the batches of the steps, a few of them drawn ahead."""
    ahead = collections.deque()
    for step in range(first, STEPS.value + _AHEAD):
        if step < STEPS.value:
            ahead.append(pool.apply_async(_draw, (step,)))
        if step >= first + _AHEAD:
            yield ahead.popleft().get()


def _resumed(state):
    import keras

    if not state.exists():
        return None
    print(f"going on from {state}", file=sys.stderr)
    return keras.saving.load_model(state)


def _compiled(network, loss):
    import keras

    schedule = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE.value / 10,
        STEPS.value,
        1e-2,
        warmup_target=LEARNING_RATE.value,
        warmup_steps=min(100, STEPS.value // 5),
    )
    network.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-4, clipnorm=1.0), loss)
    return network


def _pictures():
    """Read the pictures of no neck: arrays ``[horizontal, vertical]`` in [0, 1]."""
    if NO_NECKS.value is None:
        return []
    pictures = [Image.open(path) for path in sorted(pathlib.Path(NO_NECKS.value).iterdir())]
    return [np.asarray(each.convert("L"), np.float32)[::-1].T / 255 for each in pictures]


def _start_worker(films, pictures, seed, batch):
    from xctrs_tf.neck_finder.training_windows import OtherPictures, TrainingWindows

    global _windows
    windows = {view: TrainingWindows(films[view]) for view in VIEWS}
    _windows = windows, OtherPictures(pictures) if pictures else None, seed, batch


def _draw(step):
    from xctrs_tf.neck_finder.training_windows import draw_batch

    windows, others, seed, batch = _windows
    return draw_batch(windows, np.random.default_rng([seed, step]), batch, others)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
