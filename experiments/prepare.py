"""Prepare a data folder: patients cropped to C1..C7, projected, dealt into folds.

  python -m experiments.prepare --source=phantom --num_patients=69 --size=64 --output=DATA
  python -m experiments.prepare --source=nifti --input=DIR --size=128 --output=DATA

A killed preparation goes on where it stopped when the same command runs again.
The exit status is 0, or 1 when patients were rejected (their reasons are in
DATA/manifest.json), or 2 for a mistake in the command or its input.
"""

import concurrent.futures
import functools
import multiprocessing
import os
import signal
import threading

from absl import flags
from tqdm import tqdm

from experiments import cli
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset_writer import DatasetWriter
from xctrs_tf.data.folds import make_folds
from xctrs_tf.data.preparation import crop_patient, make_case
from xctrs_tf.data.sources.nifti import NiftiSource
from xctrs_tf.data.sources.phantom import PhantomSource
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import SIZES

# Edge of the cube that a default frame shows: the neck from skull base to T1.
FIELD_MM = 128.0
PAPER_PATIENTS = 69
EXIT_REJECTED = 1

SOURCE = flags.DEFINE_enum("source", None, ["phantom", "nifti"], "Where the patients come from.")
INPUT = flags.DEFINE_string(
    "input", None, "nifti: folder of <id>_ct.nii.gz and <id>_seg.nii.gz (1..7 = C1..C7)."
)
OUTPUT = flags.DEFINE_string("output", None, "Data folder to write: absent or empty.")
NUM_PATIENTS = flags.DEFINE_integer(
    "num_patients",
    None,
    f"How many patients; by default {PAPER_PATIENTS} phantoms, or all of --input.",
    lower_bound=1,
)
SIZE = flags.DEFINE_enum("size", "64", [str(size) for size in SIZES], "Voxels a side.")
SPACING_MM = flags.DEFINE_float(
    "spacing_mm",
    None,
    f"Voxel size; by default {FIELD_MM:g} mm / size. It grows where C1..C7 do not fit.",
    lower_bound=0.1,
    upper_bound=10.0,
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the phantoms and of the folds.", lower_bound=0)
SELECT = flags.DEFINE_string(
    "select", None, "nifti: COLUMN=VALUE keeps these rows of --input's manifest.csv."
)
NUM_FOLDS = flags.DEFINE_integer(
    "num_folds", 10, "Groups for cross-validation; fewer where there are fewer patients.", 2
)
WORKERS = flags.DEFINE_integer("workers", 2, "Processes.", lower_bound=1)


def main():
    """Prepare the folder that the flags ask for; returns the exit status."""
    size = int(SIZE.value)
    spacing_mm = SPACING_MM.value or FIELD_MM / size
    source = _make_source(size, spacing_mm)
    writer = DatasetWriter(
        OUTPUT.value,
        {
            "source": SOURCE.value,
            "size": size,
            "requested_spacing_mm": spacing_mm,
            "projection": {"geometry": "parallel"},
            "seed": SEED.value,
            "select": SELECT.value,
            "num_patients": NUM_PATIENTS.value,
            "num_folds": NUM_FOLDS.value,
        },
    )
    ids = source.ids[: NUM_PATIENTS.value]
    done, rejected = _prepare_all(source, ids, writer, size, spacing_mm)
    if not done:
        first = rejected[0]["reason"]
        more = f" (and {len(rejected) - 1} more)" if len(rejected) > 1 else ""
        raise UserError(f"no usable patient: {first}{more}")
    writer.finalise(make_folds(done, NUM_FOLDS.value, SEED.value), rejected)
    dataset = open_dataset(OUTPUT.value)
    print(
        f"{OUTPUT.value}: {len(done)} patients of {size}^3 voxels in "
        f"{len(dataset.manifest['folds'])} folds, {len(rejected)} rejected; "
        f"content hash {dataset.content_hash()}"
    )
    for patient in rejected:
        print(f"rejected {patient['id']}: {patient['reason']}")
    return EXIT_REJECTED if rejected else 0


def _make_source(size, spacing_mm):
    if SOURCE.value == "phantom":
        for flag in (INPUT, SELECT):
            if flag.value is not None:
                raise UserError(f"--{flag.name}: phantoms need none; leave it out")
        return PhantomSource(NUM_PATIENTS.value or PAPER_PATIENTS, SEED.value, size, spacing_mm)
    if INPUT.value is None:
        raise UserError("--input: missing; name the folder of the NIfTI files")
    select = None
    if SELECT.value is not None:
        select = tuple(SELECT.value.split("=", 1))
        if len(select) != 2:
            raise UserError(f"--select={SELECT.value}: write it as COLUMN=VALUE")
    return NiftiSource(INPUT.value, select)


def _prepare_all(source, ids, writer, size, spacing_mm):
    """Prepare and write every patient; returns the ids done and the rejected ones."""
    todo = [patient for patient in ids if not _is_done(source, patient, writer)]
    done = set(ids) - set(todo)
    rejected = []
    crop = functools.partial(_crop, source, size, spacing_mm)
    with _Pool(min(WORKERS.value, len(todo))) as pool:
        # disable=None: no bar where nobody looks at it.
        results = tqdm(pool.map(crop, todo), total=len(todo), unit="patient", disable=None)
        for patient, result in zip(todo, results, strict=True):
            if isinstance(result, str):
                rejected.append({"id": patient, "reason": result})
                continue
            cli.load_tensorflow()  # Keras's backend: only now is it sure to be needed.
            ct, segmentation, record = result
            writer.add(make_case(patient, ct, segmentation), record)
            done.add(patient)
    return sorted(done), rejected


def _is_done(source, patient, writer):
    try:
        return writer.has(patient, source.record(patient)["source_sha256"])
    except UserError:
        return False  # It will be rejected, with this reason.


def _crop(source, size, spacing_mm, patient):
    """A cropped patient, or the reason why there is none."""
    try:
        return crop_patient(source, patient, size, spacing_mm)
    except UserError as error:
        return str(error)


class _Pool:
    """Worker processes, or none where one is enough."""

    def __init__(self, workers):
        self._executor = None
        if workers > 1:
            self._executor = concurrent.futures.ProcessPoolExecutor(
                workers, multiprocessing.get_context("spawn"), _start_worker
            )
        self.map = self._executor.map if self._executor else map

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._executor:
            self._executor.shutdown(cancel_futures=True)


def _start_worker():
    """A worker leaves ctrl-C to its parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow():
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


if __name__ == "__main__":
    flags.mark_flags_as_required(["source", "output"])
    cli.run(main)
