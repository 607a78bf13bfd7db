"""Prepare a data folder: patients cropped to C1..C7, projected, dealt into folds.

  python -m experiments.prepare --source=phantom --num_patients=69 --size=64 --output=DATA
  python -m experiments.prepare --source=verse --input=DIR --size=128 --output=DATA
  python -m experiments.prepare --source=nifti --input=DIR --labels=auto --output=DATA
  python -m experiments.prepare --check=DATA

With --labels=auto a network labels the CTs, and all figures on them are called model-made.
docs/data.md has the public collections: where to get each, and what --input is.
A killed preparation goes on where it stopped when the same command runs again.
The exit status is 0, or 1 when scans were rejected (their reasons are in
DATA/manifest.json), or 2 for a mistake in the command or its input.
"""

import sys

from absl import flags

from experiments.common import cli
from experiments.common.privacy import define_share, private_files
from experiments.common.projection_flags import ProjectionFlags
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.data.dataset.folds import make_folds
from xctrs_tf.data.dataset.header_correction import CORRECTIONS, CorrectedSource, parse_corrections
from xctrs_tf.data.dataset.manifest import (
    LABELS_FIELD,
    MODEL_MADE,
    MODEL_MADE_LABEL_NAME,
    check_model_made,
    is_label_name,
)
from xctrs_tf.data.dataset.preparation import prepare_cohort
from xctrs_tf.data.sources.collections import AUTO, COLLECTIONS, open_collections
from xctrs_tf.data.sources.label_maps import parse_label_map
from xctrs_tf.data.sources.phantoms import PhantomSource
from xctrs_tf.errors import UserError, listed, one_line
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.geometry import SIZES
from xctrs_tf.parallel import parallel_map
from xctrs_tf.pretrained import DEFAULT_SEGMENTER, SEGMENTERS
from xctrs_tf.progress import progress_bar

# Edge of the cube that a default frame shows: the neck from skull base to T1.
FIELD_MM = 128.0
PAPER_PATIENTS = 69
EXIT_REJECTED = 1

FLAGS = flags.FlagValues()
SOURCE = flags.DEFINE_multi_enum(
    "source",
    None,
    ["phantom", *COLLECTIONS],
    "Where the patients come from. Repeat it, with an --input each, for several collections.",
    flag_values=FLAGS,
)
INPUT = flags.DEFINE_multi_string(
    "input",
    None,
    "Folder of the collection (docs/data.md). Repeat it for several folders.",
    flag_values=FLAGS,
)
LABELS = flags.DEFINE_string(
    "labels",
    None,
    f"dicom, openkbp: folder of the label files; for one DICOM series the file. {AUTO}, also for "
    "nifti: a network makes the labels, and what it is unsure of is rejected.",
    flag_values=FLAGS,
)
LABEL_MODEL = flags.DEFINE_string(
    "label_model",
    None,
    f"--labels={AUTO}: the network, of {', '.join(SEGMENTERS)}, or the folder of a run or of a "
    f"weights export. By default {DEFAULT_SEGMENTER}.",
    flag_values=FLAGS,
)
LABEL_MAP = flags.DEFINE_string(
    "label_map",
    None,
    "dicom, nifti, openkbp: the numbers of C1..C7 in the label files, as 20:1,21:2,...,26:7 or "
    "cervical, totalsegmentator, totalsegmentator_v1. By default 1..7.",
    flag_values=FLAGS,
)
OUTPUT = flags.DEFINE_string(
    "output", None, "Data folder to write: absent or empty.", flag_values=FLAGS
)
CHECK = flags.DEFINE_string(
    "check",
    None,
    "Draw and count what a data folder holds, into DATA/check/, and end.",
    flag_values=FLAGS,
)
NUM_PATIENTS = flags.DEFINE_integer(
    "num_patients",
    None,
    f"How many phantoms, by default {PAPER_PATIENTS}; of --input, how many patients are tried, in "
    "the order of their ids, by default all.",
    lower_bound=1,
    flag_values=FLAGS,
)
SIZE = flags.DEFINE_enum(
    "size", "64", [str(size) for size in SIZES], "Voxels a side.", flag_values=FLAGS
)
SPACING_MM = flags.DEFINE_float(
    "spacing_mm",
    None,
    f"Voxel size; by default {FIELD_MM:g} mm / size. It grows where C1..C7 do not fit.",
    flag_values=FLAGS,
)
PHANTOM_SPACING_MM = flags.DEFINE_float(
    "phantom_spacing_mm",
    None,
    "phantom: voxel size of the scan of a phantom, at most --spacing_mm. The scan is larger than "
    "the crop, and cropped and resampled as a patient's. By default the crop itself is made.",
    flag_values=FLAGS,
)
SEED = flags.DEFINE_integer(
    "seed",
    0,
    "Seed of the phantoms, the folds, the poses and the noise.",
    lower_bound=0,
    flag_values=FLAGS,
)
SELECT = flags.DEFINE_string(
    "select",
    None,
    "nifti: COLUMN=VALUE keeps these rows of --input's manifest.csv.",
    flag_values=FLAGS,
)
HEADER = flags.DEFINE_multi_string(
    "header",
    None,
    "CORRECTION turns all scans, ID:CORRECTION one patient's, whose header has the directions "
    f"wrong: {', '.join(CORRECTIONS)}, or none. May be repeated.",
    flag_values=FLAGS,
)
LABEL_NAME = flags.DEFINE_string(
    "label_name",
    None,
    "Name of the overlap in the tables and figures of this data: 'pseudo-label Dice' if a program "
    "made the labels and no expert checked them. By default Dice, or what the folder already has; "
    f"with --labels={AUTO} {MODEL_MADE_LABEL_NAME}, and another name must contain {MODEL_MADE}.",
    flag_values=FLAGS,
)
NUM_FOLDS = flags.DEFINE_integer(
    "num_folds",
    10,
    "Groups for cross-validation; fewer where there are fewer patients.",
    2,
    flag_values=FLAGS,
)
KEEP_SCAN = flags.DEFINE_boolean(
    "keep_scan",
    False,
    "Store what films can show of the whole scan too, for train --augment=films.",
    flag_values=FLAGS,
)
WORKERS = flags.DEFINE_integer("workers", 2, "Processes.", lower_bound=1, flag_values=FLAGS)
PROJECTION = ProjectionFlags(FLAGS)
RAY_ADDRESS = flags.DEFINE_string(
    "ray_address",
    None,
    "Ray cluster in place of --workers, such as auto; it must see the files.",
    flag_values=FLAGS,
)

# absl's own bounds let NaN pass. A phantom of smaller voxels would not fit into memory.
for flag, smallest in ((SPACING_MM, 0.1), (PHANTOM_SPACING_MM, 0.5)):
    flags.register_validator(
        flag,
        lambda value, smallest=smallest: value is None or smallest <= value <= 10,
        f"must be from {smallest:g} to 10",
        flag_values=FLAGS,
    )


flags.register_validator(
    LABEL_NAME,
    lambda value: value is None or is_label_name(value),
    "must be a line of at most 40 characters",
    flag_values=FLAGS,
)


SHARE = define_share(FLAGS)


def execute():
    """Prepare or check the folder that the flags name; return the exit status."""
    if CHECK.value is not None:
        return _check()
    for flag in (SOURCE, OUTPUT):
        if not flag.value:
            raise UserError(f"--{flag.name}: missing (see --help)")
    size = int(SIZE.value)
    spacing_mm = SPACING_MM.value or FIELD_MM / size
    simulation = PROJECTION.simulation(SEED.value)
    _check_label_flags()
    source = _make_source(size, spacing_mm, simulation.geometry.field_of_view)
    # Found out before anything is computed: that the folder can be written, by no one else.
    private = private_files(SHARE.value or "phantom" in SOURCE.value)
    with private, folder_lock(OUTPUT.value, "patients"):
        return _prepare(source, size, spacing_mm, simulation)


def _prepare(source, size, spacing_mm, simulation):
    configuration = _configuration(size, spacing_mm, simulation)
    if LABELS.value == AUTO:
        source = _labelled(source)
        configuration[LABELS_FIELD] = source.labels
    writer = DatasetWriter(OUTPUT.value, configuration, LABEL_NAME.value)
    ids = source.ids[: NUM_PATIENTS.value]
    gone = writer.patients_who_left(ids)
    # The workers need TensorFlow only where a film shows more than the crop, or to label.
    needs = simulation.geometry.field_of_view == "full" or LABELS.value == AUTO
    warm_up = cli.load_tensorflow if needs else None
    with parallel_map(min(WORKERS.value, len(ids)), RAY_ADDRESS.value, warm_up) as mapper:
        done, rejected = prepare_cohort(
            source,
            ids,
            writer,
            size,
            spacing_mm,
            simulation,
            lambda crop, todo: _once_usable(mapper(crop, todo)),
            lambda patients, words=None: progress_bar(patients, words, unit="patient"),
            KEEP_SCAN.value,
        )
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
    if gone:
        print(f"removed, since not in the source any more: {listed(gone)}")
    if LABELS.value == AUTO:
        print(f"labels: {dataset.label_name}; {source.words}")
    for scan in rejected:
        print(one_line(f"rejected {scan['id']}: {scan['reason']}"))
    return EXIT_REJECTED if rejected else 0


def _check():
    if SOURCE.value or OUTPUT.value:
        raise UserError("--check: looks at a finished folder; leave --source and --output out")
    dataset = open_dataset(CHECK.value)
    cli.lock_output(dataset.path / "check", beside=True)
    # Drawing takes a second to load, and nothing else here needs it.
    from xctrs_tf.evaluation.figures.contact_sheet import check_dataset

    with private_files(SHARE.value):
        index, outliers = check_dataset(dataset, lambda ids: progress_bar(ids, unit="patient"))
    print(f"{index}: {len(dataset.ids)} patients, {len(outliers)} to look at")
    for line in outliers:
        print(f"look at {line}")
    return 0


def _configuration(size, spacing_mm, simulation):
    """Return the settings of a folder's content; only a folder with the same is continued."""
    return {
        "source": SOURCE.value[0] if len(SOURCE.value) == 1 else SOURCE.value,
        "size": size,
        "requested_spacing_mm": spacing_mm,
        "projection": simulation.to_json(),
        "seed": SEED.value,
        "select": SELECT.value,
        "label_map": LABEL_MAP.value,
        "num_patients": NUM_PATIENTS.value,
        "num_folds": NUM_FOLDS.value,
        # Absent in older folders, as in those without.
        "keep_scan": KEEP_SCAN.value or None,
        "phantom_spacing_mm": PHANTOM_SPACING_MM.value,
    }


def _check_label_flags():
    if LABELS.value == AUTO:
        if LABEL_NAME.value is not None:
            check_model_made(LABEL_NAME.value)
    elif LABEL_MODEL.value is not None:
        raise UserError(f"--label_model: only with --labels={AUTO}; leave it out")


def _labelled(source):
    """Return the source with the labels of the network that --label_model names."""
    cli.load_tensorflow()
    from xctrs_tf.ct_segmentation.model_labels import ModelLabelledSource

    return ModelLabelledSource(source, LABEL_MODEL.value or DEFAULT_SEGMENTER)


def _make_source(size, spacing_mm, field_of_view):
    if "phantom" in SOURCE.value:
        if len(SOURCE.value) > 1:
            raise UserError("--source: phantoms do not mix with patients; prepare them apart")
        for flag in (INPUT, LABELS, LABEL_MAP, SELECT, HEADER):
            if flag.value is not None:
                raise UserError(f"--{flag.name}: phantoms need none; leave it out")
        scan_mm = PHANTOM_SPACING_MM.value
        if scan_mm is None and (KEEP_SCAN.value or field_of_view == "full"):
            flag = "--keep_scan" if KEEP_SCAN.value else "--field_of_view=full"
            raise UserError(
                f"{flag}: phantoms end where their crops end; leave it out, or make larger ones "
                "with --phantom_spacing_mm"
            )
        count = NUM_PATIENTS.value or PAPER_PATIENTS
        return PhantomSource(count, SEED.value, size, spacing_mm, scan_mm)
    if PHANTOM_SPACING_MM.value is not None:
        raise UserError("--phantom_spacing_mm: only with --source=phantom; leave it out")
    if INPUT.value is None:
        raise UserError("--input: missing; name the folder of the collection")
    select = None
    if SELECT.value is not None:
        select = tuple(SELECT.value.split("=", 1))
        if len(select) != 2:
            raise UserError(f"--select={SELECT.value}: write it as COLUMN=VALUE")
    label_map = None if LABEL_MAP.value is None else parse_label_map(LABEL_MAP.value)
    source = open_collections(SOURCE.value, INPUT.value, LABELS.value, label_map, select)
    if HEADER.value is None:
        return source
    return CorrectedSource(source, parse_corrections(HEADER.value, source.ids))


def _once_usable(results):
    """Yield the results; load Keras's backend before the first projection."""
    for cropped, reasons in results:
        if cropped is not None:
            cli.load_tensorflow()
        yield cropped, reasons


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
