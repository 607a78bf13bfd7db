"""Export a training run for model servers, ONNX Runtime and experiments.reconstruct.

    python -m experiments.export --workdir=RUN --output=MODELS/xctrsnet

Writes the next version, MODELS/xctrsnet/1, 2, ..., and prints its path and the flag with
which experiments.reconstruct takes no other model. With --format=onnx it holds model.onnx
in place of a SavedModel, so give a folder that no TensorFlow Serving watches. With
--format=triton OUTPUT is a model repository of Triton Inference Server, and the versions are
in OUTPUT/xctrsnet. What an export says of itself in assets.extra/metadata.json has the metrics
of RUN/evaluation and the thresholds of RUN/quality.json, if they are there and of these weights
(experiments.evaluate and experiments.calibrate). docs/serving.md tells how to serve it.
"""

import os
import sys

from absl import flags, logging

from experiments.common import cli
from xctrs_tf.errors import UserError
from xctrs_tf.export.onnx_conversion import CONVERSION_PACKAGES, require_onnx_options
from xctrs_tf.export.triton_repository import model_folder
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.processor import FPMATHS
from xctrs_tf.progress import stage
from xctrs_tf.reconstruction.export_files import model_sha256
from xctrs_tf.reconstruction.onnx_model import require_packages
from xctrs_tf.training.run_record import read_config

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Run folder of experiments.train.", flag_values=FLAGS
)
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint",
    "best",
    ["best", "last"],
    "Weights: lowest validation loss, or newest.",
    flag_values=FLAGS,
)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder of versions, or of models with --format=triton; made if it is not there.",
    flag_values=FLAGS,
)
QUANTIZE = flags.DEFINE_enum(
    "quantize",
    None,
    ["float16"],
    "Store the weights so: half the file, and slightly other outputs.",
    flag_values=FLAGS,
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16"],
    "That the SavedModel computes in; bfloat16 is faster on processors with instructions for it, "
    "and the outputs differ slightly.",
    flag_values=FLAGS,
)
FPMATH = flags.DEFINE_enum(
    "fpmath",
    "float32",
    FPMATHS,
    "bfloat16: experiments.reconstruct and xctrs_tf.load run the model with its option of that "
    "name.",
    flag_values=FLAGS,
)
FORMAT = flags.DEFINE_enum(
    "format",
    "savedmodel",
    ["savedmodel", "onnx", "weights", "triton"],
    "SavedModel with all signatures; one ONNX file from films to CT and probabilities; the "
    "weights alone, from which this package builds the networks; or a SavedModel with what Triton "
    "Inference Server needs to run it.",
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["workdir", "output"], flag_values=FLAGS)


def execute():
    """Export the run that the flags name."""
    read_config(WORKDIR.value)
    if FORMAT.value == "onnx":
        require_packages(CONVERSION_PACKAGES, "--format=onnx")
        require_onnx_options(QUANTIZE.value, PRECISION.value, FPMATH.value)
    if FORMAT.value == "weights" and PRECISION.value != "float32":
        raise UserError("--precision: --format=weights has no graph that computes; leave it out")
    output = model_folder(OUTPUT.value) if FORMAT.value == "triton" else OUTPUT.value
    # Before the networks are loaded: may another process export to it, can it be written?
    with folder_lock(output):
        pass
    # A training run may hold the GPU, and saving needs none.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # The export is compared with the networks to the last digits.
    cli.load_tensorflow("float32")
    # TensorFlow tells every step of saving as INFO.
    logging.set_verbosity(logging.WARNING)
    from xctrs_tf.export.saved_model import export_run
    from xctrs_tf.training.run import load_run

    bfloat16_run = None
    with stage("loading the networks"):
        if PRECISION.value == "bfloat16":
            bfloat16_run = load_run(WORKDIR.value, CHECKPOINT.value, precision="mixed_bfloat16")
        run = load_run(WORKDIR.value, CHECKPOINT.value, precision="float32")
    if bfloat16_run and bfloat16_run.step != run.step:
        raise UserError(f"{WORKDIR.value}: the training replaced its weights meanwhile; try again")
    folder = export_run(run, output, QUANTIZE.value, FORMAT.value, bfloat16_run, FPMATH.value)
    wanted = {"evaluation/cases.csv": ("figures of test patients", "evaluate")}
    if run.reconstruction is not None:
        wanted["quality.json"] = ("thresholds of the quality checks", "calibrate")
    for name, (what, program) in wanted.items():
        if not (run.path / name).is_file():
            logging.warning(
                "%s: no %s: the export has no %s; run experiments.%s --workdir=%s, and export "
                "again",
                *(run.path, name, what, program, run.path),
            )
    print(folder, f"--model_sha256={model_sha256(folder)}", sep="\n")


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
