"""Pack a run as weights that come with the package.

    python -m experiments.neck64.pack --workdir=RUN --output=xctrs_tf/pretrained/neck64
    python -m experiments.neck64.pack --model=neck64 --quality=quality.json \\
        --output=xctrs_tf/pretrained/neck64

The run must have been evaluated on its test patients and calibrated (experiments.evaluate,
experiments.calibrate), so that figures and thresholds travel with the weights. Writes an
exported model without a graph, in float16, with LICENSE and NOTICE.

With --model, a packed model gets the thresholds of a new calibration of it (experiments.calibrate
--model=neck64 --output=quality.json); its weights and all else stay.
"""

import pathlib
import shutil
import sys
import tempfile

from absl import flags

from experiments.common import cli
from experiments.common.shipping import checked_licence, checked_notice, define_licence_flags, ship
from xctrs_tf.errors import UserError
from xctrs_tf.files import as_dict, atomic_path, read_json, write_json, write_text
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.pretrained import check_weights_folder, pretrained_folder

MAX_BYTES = 20_000_000
# What the run's folder must hold, and the program that writes it.
_NEEDED = {"evaluation/cases.json": "evaluate", "quality.json": "calibrate"}

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string("workdir", None, "Run to pack.", flag_values=FLAGS)
MODEL = flags.DEFINE_string(
    "model", None, "Packed model that gets the thresholds of --quality.", flag_values=FLAGS
)
QUALITY = flags.DEFINE_string(
    "quality", None, "File of experiments.calibrate of --model.", flag_values=FLAGS
)
OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write; an earlier one is replaced.", flag_values=FLAGS
)
LICENCE, NOTICE = define_licence_flags(FLAGS)
flags.mark_flag_as_required("output", flag_values=FLAGS)


def execute():
    """Pack what the flags name."""
    output = pathlib.Path(OUTPUT.value)
    if (WORKDIR.value is None) == (MODEL.value is None):
        raise UserError("name either --workdir, or --model with --quality")
    if (MODEL.value is None) != (QUALITY.value is None):
        raise UserError("--quality: goes with --model")
    if WORKDIR.value:
        _pack_run(pathlib.Path(WORKDIR.value), output)
        return
    check_weights_folder(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with folder_lock(output, beside=True):
        _renew(MODEL.value, pathlib.Path(QUALITY.value), output)
    print(f"{output}: the weights of {MODEL.value}, with the thresholds of {QUALITY.value}")


def _pack_run(workdir, output):
    for name, program in _NEEDED.items():
        if not (workdir / name).is_file():
            raise UserError(f"{workdir / name}: missing; run experiments.{program} first")
    licence = checked_licence(LICENCE.value)
    check_weights_folder(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with folder_lock(output, beside=True), tempfile.TemporaryDirectory() as scratch:
        size = _write(workdir, pathlib.Path(scratch), licence, output)
    print(f"{output}: {size / 1e6:.1f} MB of weights")


def _write(workdir, scratch, licence, output):
    """Write the packed run; return the bytes of its weights."""
    cli.load_tensorflow("float32")
    from xctrs_tf.export.saved_model import export_run
    from xctrs_tf.reconstruction.export_files import read_metadata
    from xctrs_tf.training.run import load_run

    run = load_run(workdir, precision="float32")
    folder = export_run(run, scratch, quantize="float16", file_format="weights")
    metadata = read_metadata(folder)
    for name in ("metrics", "quality"):
        if metadata[name] is None:
            raise UserError(f"{workdir}: its {name} are of other weights or data; make them again")
    notice = checked_notice(NOTICE.value, pretrained_folder("neck64"), metadata)
    return ship(folder, licence, notice, MAX_BYTES, output)


def _renew(model, quality, output):
    """Write a packed model with the thresholds of a new calibration."""
    from xctrs_tf.export.model_card import model_card
    from xctrs_tf.quality.reference import check_reference
    from xctrs_tf.reconstruction.export_files import METADATA, MODEL_CARD, write_checksums
    from xctrs_tf.reconstruction.exported_model import find_export

    export = find_export(model)
    export.check_files()
    if not export.is_weights:
        raise UserError(
            f"--model={model}: not weights alone, and a graph may keep the earlier thresholds; run "
            "experiments.calibrate on the run and export it again"
        )
    try:
        reference = read_json(quality)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{quality}: cannot be read; run experiments.calibrate") from error
    check_reference(reference, quality)
    calibrated = as_dict(reference.get("origin")).get("model_sha256")
    if calibrated != export.sha256:
        raise UserError(
            f"{quality}: of a model with the hash {calibrated}, and {model} has {export.sha256}; "
            f"run experiments.calibrate --model={model}"
        )
    metadata = {**read_json(export.path / METADATA), "quality": reference}
    with atomic_path(output) as temporary:
        shutil.copytree(export.path, temporary, ignore=shutil.ignore_patterns("__pycache__"))
        write_json(temporary / METADATA, metadata)
        write_text(temporary / MODEL_CARD, model_card(metadata))
        write_checksums(temporary)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
