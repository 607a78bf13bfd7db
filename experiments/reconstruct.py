"""Reconstruct a CT and its C1..C7 from two X-ray films.

    python -m experiments.reconstruct --ap=ap.png --la=la.png --output=OUT
    python -m experiments.reconstruct --model=MODELS/xctrsnet --ap=ap.png --la=la.png --output=OUT
    python -m experiments.reconstruct --model=MODELS/xctrsnet --pairs=pairs.csv --output=OUT
    python -m experiments.reconstruct --model=MODELS/xctrsnet --input=FILMS --output=OUT

Films are DICOM, PNG, TIFF, JPEG, JPEG 2000, NIfTI, NRRD or MetaImage files, superior on top;
all but DICOM with bone bright. Flags cut, turn and invert films that are not so (docs/films.md).

OUT holds ct.nii.gz (HU), segmentation.nii.gz with its label tables for ITK-SNAP
(.label) and 3D Slicer (.ctbl), C1.stl .. C7.stl, films.png (what the model saw),
preview.png, report.html, report.json and reconstruction.json. With several --model
the CT is their mean and the labels are those of the highest mean probability;
spread_hu.nii.gz tells how far the CTs differ. Only you can read OUT, unless --share. A
SavedModel is a program: take only models that you trust. Not for diagnosis.

A batch (--pairs, --input) writes such a folder for every id into OUT, and
OUT/summary.csv. A bad pair is one line on stderr, and the others go on; a rerun does
what is missing. A finished pair whose films, model or flags are others now is a bad pair
without --overwrite.

Exit status: 0, everything was written, whatever the verdict of the quality checks
(with --strict, 3 where it is "fail"; the files are written all the same); 1, a pair
of a batch failed, also with --strict; 2, nothing was done: bad flags, films, table or
model; or OUT cannot be written, which ends a batch after the pairs that are finished.
"""

import dataclasses
import functools
import pathlib
import sys

from absl import flags

from experiments.common import cli
from experiments.common.film_flags import FilmFlags, read_films
from experiments.common.model_flags import (
    check_strict,
    define_mirror,
    define_strict,
    strict_status,
)
from experiments.common.privacy import define_share
from xctrs_tf.errors import UserError
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.pretrained import DEFAULT, pretrained_folder
from xctrs_tf.processor import FPMATHS
from xctrs_tf.progress import stage
from xctrs_tf.reconstruction import check_output, load, write_reconstruction
from xctrs_tf.reconstruction.batch import (
    FAILED,
    count_outcomes,
    earlier_verdict,
    prepare_output,
    run_batch,
)
from xctrs_tf.reconstruction.batch_input import FilmFiles, find_pairs, read_table
from xctrs_tf.reconstruction.ensemble import find_exports, shared_metadata, use_fpmath
from xctrs_tf.reconstruction.films.pair_reading import check_unchanged, film_request
from xctrs_tf.reconstruction.output_folder import (
    file_request,
    made_otherwise,
    require_dicom_package,
)
from xctrs_tf.report.training_summary import verdict_lines

EXIT_PAIR_FAILED = 1

FLAGS = flags.FlagValues()
FILMS = FilmFlags(FLAGS)
MODEL = flags.DEFINE_multi_string(
    "model",
    [DEFAULT],
    "Folder of experiments.export, or one version in it; by default the model that comes with the "
    "package. Given several times, the models answer "
    "together; the quality checks are then the first one's.",
    flag_values=FLAGS,
)
MODEL_SHA256 = flags.DEFINE_multi_string(
    "model_sha256",
    None,
    "Refuse the model unless its hash is this one (printed by experiments.export; "
    "docs/serving.md). With several --model, one for each.",
    flag_values=FLAGS,
)
FPMATH = flags.DEFINE_enum(
    "fpmath",
    None,
    FPMATHS,
    "bfloat16: on a processor with AMX, the inputs of float32 products are rounded to bfloat16, "
    "which is faster; by default what the model's metadata say.",
    flag_values=FLAGS,
)
MIRROR = define_mirror(FLAGS)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder to write. The earlier result of one pair is replaced; in a batch a finished pair is "
    "skipped, unless --overwrite.",
    flag_values=FLAGS,
)
SHARE = define_share(FLAGS)
PAIRS = flags.DEFINE_string(
    "pairs",
    None,
    "A batch: CSV with the columns id, ap, la and, if you like, spacing_mm (else --spacing_mm), "
    "and no others. Relative paths start at the CSV's folder.",
    flag_values=FLAGS,
)
INPUT = flags.DEFINE_string(
    "input",
    None,
    "A batch: folder of ID_ap.* and ID_la.*, or of folders ID with ap.* and la.*.",
    flag_values=FLAGS,
)
OVERWRITE = flags.DEFINE_boolean(
    "overwrite", False, "In a batch, do finished pairs again.", flag_values=FLAGS
)
REPORT = flags.DEFINE_boolean(
    "report",
    True,
    "Make surfaces, quality checks, measures and report.html; they take seconds.",
    flag_values=FLAGS,
)
DICOM = flags.DEFINE_boolean(
    "dicom", False, "Write dicom/: a CT series and segmentation.dcm.", flag_values=FLAGS
)
COPY_PATIENT = flags.DEFINE_boolean(
    "copy_patient",
    False,
    "Copy patient and study from the AP film, a DICOM file, to the DICOM files; without it they "
    "are anonymous.",
    flag_values=FLAGS,
)
STRICT = define_strict(FLAGS)
flags.mark_flags_as_required(["output"], flag_values=FLAGS)


def execute():
    """Reconstruct the films that the flags name."""
    _check_flags()
    options = FILMS.options()
    exports = find_exports(MODEL.value if MODEL.present else [pretrained_folder(DEFAULT)])
    # The search for the neck may import TensorFlow.
    use_fpmath(exports, FPMATH.value)
    # Films are read before the models are loaded, by what all of them agree on.
    shared = dataclasses.replace(
        exports[0], metadata=shared_metadata([export.metadata for export in exports])
    )
    read = functools.partial(_read, options=options, model=shared)
    write = functools.partial(
        write_reconstruction,
        report=REPORT.value,
        dicom=DICOM.value,
        private=not SHARE.value,
    )
    output = pathlib.Path(OUTPUT.value)
    if PAIRS.value is None and INPUT.value is None:
        check_output(output)
        with folder_lock(output.resolve(), beside=True):
            return _one(exports, output, read, write)
    pairs = read_table(PAIRS.value) if PAIRS.value is not None else find_pairs(INPUT.value)
    prepare_output(output, private=not SHARE.value)
    with folder_lock(output):
        return _batch(exports, pairs, output, read, write, options)


def _one(exports, output, read, write):
    pair, patient = read(FilmFiles("", FILMS.files()), output)
    reconstructor = _load(exports)
    with stage("reconstructing"):
        reconstruction = reconstructor.of_pair(pair)
    with stage("writing the files" + (", surfaces and the report" if REPORT.value else "")):
        verdict = write(reconstruction, output, patient=patient)
    print(*sorted(output.resolve().iterdir()), sep="\n")
    if verdict is None:
        return 0
    print(*verdict_lines(verdict, reconstruction.metadata, reconstruction.models), sep="\n")
    return strict_status(STRICT, [verdict.level])


def _batch(exports, pairs, output, read, write, options):
    reconstructor = _load(exports)
    models = [export.record() for export in exports]

    def reconstruct(files):
        pair, patient = read(files, output / files.id)
        return reconstructor.of_pair(pair), patient

    def write_pair(result, folder):
        reconstruction, patient = result
        return write(reconstruction, folder, patient=patient)

    def reason_to_redo(files, folder):
        reason = made_otherwise(
            folder,
            models,
            MIRROR.value,
            film_request(files.paths, options, _spacing_mm(files)),
            file_request(REPORT.value, DICOM.value, COPY_PATIENT.value),
        )
        if reason is None and STRICT.value and not earlier_verdict(folder)[0]:
            return f"{folder} has no verdict of the quality checks; give --overwrite"
        return reason

    outcomes = run_batch(
        pairs,
        output,
        reconstruct,
        write_pair,
        OVERWRITE.value,
        private=not SHARE.value,
        reason_to_redo=reason_to_redo,
    )
    print(count_outcomes(outcomes))
    if any(outcome.status == FAILED for outcome in outcomes):
        return EXIT_PAIR_FAILED
    return strict_status(STRICT, [outcome.verdict for outcome in outcomes])


def _read(files, output, options, model):
    """Read a pair and its patient."""
    spacing_mm = _spacing_mm(files)
    pair = read_films(files, options, model, spacing_mm, output, private=not SHARE.value)
    if not COPY_PATIENT.value:
        return pair, None
    patient = _patient(files.paths)
    # Else the CT of one patient could get the name of another.
    check_unchanged(files.paths, pair.asked)
    return pair, patient


def _spacing_mm(files):
    return files.spacing_mm or FILMS.spacing_mm.value


def _patient(paths):
    # Only this needs pydicom.
    from xctrs_tf.report.dicom_patient import patient_of_pair

    return patient_of_pair(**paths)


def _load(exports):
    # Keras projects the CT for the report; nothing else needs it where the model is ONNX.
    if REPORT.value or not all(export.is_onnx for export in exports):
        cli.load_tensorflow()
    with stage("loading the model"):
        return load(
            *exports,
            sha256=MODEL_SHA256.value or (),
            fpmath=FPMATH.value,
            mirror=MIRROR.value,
        )


def _check_flags():
    given = [flag.name for flag in (PAIRS, INPUT) if flag.value is not None]
    films = [f"--{name}" for name, flag in FILMS.paths.items() if flag.value]
    if len(given) > 1 or (given and films):
        raise UserError("films: give --ap and --la, or --pairs, or --input, and only one of them")
    if len(films) == 1:
        FILMS.check_given()
    if not given and not films:
        raise UserError("films: give --ap and --la, or --pairs, or --input (see --help)")
    if OVERWRITE.value and not given:
        raise UserError("--overwrite: for --pairs and --input; one pair is always done again")
    check_strict(STRICT, REPORT)
    if COPY_PATIENT.value and not DICOM.value:
        raise UserError("--copy_patient: only DICOM files hold a patient; add --dicom")
    if DICOM.value:
        require_dicom_package()


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
