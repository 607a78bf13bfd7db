"""Calibrate the quality checks of a model on patients that it has not seen.

    python -m experiments.calibrate --workdir=RUN --data=DATA --output=quality.json
    python -m experiments.calibrate --model=EXPORT --data=DATA --output=quality.json

The data must be what the model was trained on. The training patients of its fold
give the statistics, the validation and test patients the thresholds. Prints the
requested and the measured rate of false alarms, and how often simulated faults of
the held-out films are detected.
"""

import json
import operator
import pathlib
import sys

from absl import flags

from experiments.common import cli
from xctrs_tf.data.dataset import network_arrays, open_dataset
from xctrs_tf.data.volumes.intensity import denormalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.files import write_text
from xctrs_tf.progress import progress_bar, stage
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.training.config import read_run_record

FLAGS = flags.FlagValues()
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Run folder of experiments.train.", flag_values=FLAGS
)
MODEL = flags.DEFINE_string(
    "model", None, "Folder of experiments.export, or one version in it.", flag_values=FLAGS
)
MODEL_SHA256 = flags.DEFINE_string(
    "model_sha256",
    None,
    "Take no other --model: what experiments.export printed for it.",
    flag_values=FLAGS,
)
DATA = flags.DEFINE_string(
    "data", None, "Prepared data folder that the model was trained on.", flag_values=FLAGS
)
OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.", flag_values=FLAGS)
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint",
    "best",
    ["best", "last"],
    "Weights of --workdir: lowest loss, or newest.",
    flag_values=FLAGS,
)
FALSE_ALARM_RATE = flags.DEFINE_float(
    "false_alarm_rate",
    0.05,
    "Share of faultless patients that may be sent to review.",
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["data", "output"], flag_values=FLAGS)


def execute():
    """Calibrate the model that the flags name."""
    if bool(WORKDIR.value) == bool(MODEL.value):
        raise UserError("--workdir, --model: give one of the two")
    fold, data_sha256 = _training_of_model()
    dataset = open_dataset(DATA.value)
    if dataset.content_hash() != data_sha256:
        raise UserError(
            f"{DATA.value}: not what the model was trained on, so its held-out patients are "
            "unknown; give that data"
        )
    split = dataset.split(fold)
    cli.lock_output(OUTPUT.value, beside=True)
    cli.load_tensorflow()
    from xctrs_tf.quality.calibration import calibrate
    from xctrs_tf.quality.faults import FAULTS, detection_rates

    held_out = [dataset.load(patient) for patient in (*split.validation, *split.test)]
    # Each patient is predicted for the thresholds and again for every fault.
    with progress_bar(total=len(held_out) * (1 + len(FAULTS)), unit="pair") as progress:
        reconstruct = _counted(_model(), progress)
        training = (dataset.load(patient) for patient in split.training)
        reference = calibrate(training, held_out, reconstruct, FALSE_ALARM_RATE.value)
        reference["detection"] = detection_rates(held_out, reconstruct, reference)
    write_text(pathlib.Path(OUTPUT.value), json.dumps(reference, allow_nan=False) + "\n")
    rate = reference["false_alarm_rate"]
    print(
        f"{OUTPUT.value}: {reference['held_out']} held-out patients; false alarms asked "
        f"{rate['asked']:.3f}, each patient judged by the others {rate['leave_one_out']:.3f}"
    )
    print(f"{'fault':24} {'pass':>6} {'review':>6} {'fail':>6}")
    for fault, shares in reference["detection"].items():
        print(f"{fault:24} {shares['pass']:6.2f} {shares['review']:6.2f} {shares['fail']:6.2f}")


def _counted(function, progress):
    """Wrap a function so that every call advances the progress bar."""

    def counted(case):
        result = function(case)
        progress.update()
        return result

    return counted


def _training_of_model():
    """Return the fold and the data hash of the run or the export."""
    if MODEL.value:
        export = find_export(MODEL.value)
        try:
            fold = operator.index(export.metadata["training"]["fold"])
            return fold, export.metadata["data_sha256"]
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{export.path}: its metadata do not name the data it was trained on; run "
                "experiments.export again"
            ) from error
    config, data_sha256 = read_run_record(WORKDIR.value)
    return config.fold, data_sha256


def _model():
    """Return a function from a `Case` to the CT in HU and the labels from its films."""
    if MODEL.value:
        from xctrs_tf.reconstruction import load

        with stage("loading the model"):
            reconstructor = load(MODEL.value, sha256=[MODEL_SHA256.value])

        def reconstruct(case):
            result = reconstructor(case.ap, case.la, case.spacing_mm)
            return result.ct_hu, result.segmentation

        return reconstruct

    from xctrs_tf.training.prediction import predict_case
    from xctrs_tf.training.run import load_run

    # As experiments.export stores it.
    with stage("loading the networks"):
        run = load_run(WORKDIR.value, CHECKPOINT.value, precision="float32")

    def predict(case):
        ct, labels = predict_case(run, case.id, network_arrays(case, run.config.film_normalization))
        return denormalise_hu(ct), labels

    return predict


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
