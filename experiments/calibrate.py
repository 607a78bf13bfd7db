"""Calibrate the quality checks of a model on patients that it has not seen.

    python -m experiments.calibrate --workdir=RUN --data=DATA
    python -m experiments.calibrate --model=EXPORT --data=DATA --data=OTHER --output=quality.json

By default the thresholds of a run go to RUN/quality.json, where experiments.export finds
them. experiments.export does not take thresholds that were made with --model.

The first data must be what the model was trained on. The training patients of its fold
give the statistics, the validation and test patients the thresholds. Prints the
requested and the measured rate of false alarms, and how often faults made on purpose in
some of these patients are detected, with 95 % intervals and with what each fault costs in
PSNR. Patients of further data (another collection, phantoms) are judged by the same
thresholds and reported apart, without those that the model was trained on and those who
are held-out patients of the first data, too.

Every pair of films is reconstructed once. Stopped or killed, the same command goes on
with the pairs that are left; until it ends, what is done lies beside --output, in a file
that ends in .unfinished.jsonl.
"""

import logging
import pathlib
import sys

from absl import flags

from experiments.common import cli
from experiments.common.evaluated_models import training_of_export
from experiments.common.model_flags import check_run_or_model
from xctrs_tf import provenance
from xctrs_tf.data.dataset import network_arrays, open_dataset
from xctrs_tf.data.volumes.intensity import denormalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import trained_patients
from xctrs_tf.evaluation.evaluated_run import read_trainings
from xctrs_tf.files import write_json
from xctrs_tf.progress import progress_bar, stage
from xctrs_tf.quality.faults.detection_table import detection_table
from xctrs_tf.quality.faults.film_faults import MADE_FAULTS
from xctrs_tf.reconstruction.ensemble import find_exports
from xctrs_tf.training.run_record import read_config

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
    "Refuse --model unless its hash is this one (printed by experiments.export).",
    flag_values=FLAGS,
)
DATA = flags.DEFINE_multi_string(
    "data",
    None,
    "Prepared data folder that the model was trained on; given again, further data of the same "
    "size, whose patients are judged too, but for those that the model was trained on and those of "
    "the first data.",
    flag_values=FLAGS,
)
FOREIGN_PATIENTS = flags.DEFINE_integer(
    "foreign_patients",
    20,
    "Patients that are taken of each further --data, the first ones that are judged.",
    lower_bound=2,
    flag_values=FLAGS,
)
FAULT_PATIENTS = flags.DEFINE_integer(
    "fault_patients",
    16,
    "Patients in whom faults are made, of each data. Thresholds and false alarms come from all "
    "held-out patients.",
    lower_bound=2,
    flag_values=FLAGS,
)
OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "JSON file to write; by default WORKDIR/quality.json, which experiments.export reads.",
    flag_values=FLAGS,
)
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
FAULTS_FLAG = flags.DEFINE_list(
    "faults",
    None,
    "Faults of the printed table that are made, divided by commas; by default all.",
    flag_values=FLAGS,
)
# Patients that the networks reconstruct at once. Small volumes are faster together; large ones are
# not, and take much memory.
_BATCH_SIZES = {32: 4}
# Appended to --output while the calibration is under way.
_UNFINISHED = ".unfinished.jsonl"
# Fields of `provenance.collect` that the calibration keeps.
_ORIGIN = ("commit", "date", "machine", "versions", "data_hash")
flags.mark_flag_as_required("data", flag_values=FLAGS)


def execute():
    """Calibrate the model that the flags name."""
    check_run_or_model(WORKDIR, MODEL, MODEL_SHA256, CHECKPOINT)
    output = _output()
    # Once, since a newer version may be exported in the meantime.
    export = find_exports([MODEL.value])[0] if MODEL.value else None
    trainings, film_normalization = _trainings_of_model(export)
    dataset, *foreign = (open_dataset(path) for path in DATA.value)
    if not all(training.is_on(dataset) for training in trainings):
        raise UserError(
            f"{DATA.value[0]}: not what the model was trained on, in these folds, so its held-out "
            "patients are unknown; give that data first"
        )
    chosen = _patients_to_judge(dataset, foreign, trainings)
    split, data_sha256 = dataset.split(trainings[0].fold), trainings[0].data_sha256
    faults = _faults()
    cli.lock_output(output, beside=True)
    cli.load_tensorflow()
    from xctrs_tf.quality.calibration import calibrate
    from xctrs_tf.quality.faults.detection import detection_rates, made_faults
    from xctrs_tf.quality.faults.pair_scorer import PairScorer

    held_out = [dataset.load(patient) for patient in (*split.validation, *split.test)]
    others = [
        [other.load(patient) for patient in ids]
        for other, (ids, _) in zip(foreign, chosen, strict=True)
    ]
    reconstruct, identity = _model(export)
    scorer = PairScorer(
        reconstruct,
        f"{output}{_UNFINISHED}",
        _origin_of_scores(identity, data_sha256),
        _BATCH_SIZES.get(dataset.size, 1),
    )
    ids = progress_bar(split.training, "reading the training patients", unit="patient")
    training = [dataset.load(patient) for patient in ids]
    made = [
        len(list(made_faults(len(cases), faults, FAULT_PATIENTS.value)))
        for cases in (held_out, *others)
    ]
    with progress_bar(total=len(held_out) + sum(made), unit="pair") as progress:
        reference = calibrate(
            training,
            held_out,
            scorer,
            FALSE_ALARM_RATE.value,
            film_normalization,
            progress.update,
        )
        rates = {"scorer": scorer, "reference": reference, "faults": faults}
        rates |= {"fault_patients": FAULT_PATIENTS.value, "advance": progress.update}
        reference["detection"] = detection_rates(held_out, **rates)
        judged = [
            {
                "sources": other.sources(),
                "data_sha256": other.content_hash(),
                "patients": len(cases),
                **known,
                "detection": detection_rates(cases, calibrated_on=False, **rates),
            }
            for other, cases, (_, known) in zip(foreign, others, chosen, strict=True)
        ]
    reference["foreign"] = judged
    origin = provenance.collect(len(held_out), None, data_sha256)
    # Not the command: its folders belong to this machine.
    reference["origin"] = {name: origin[name] for name in _ORIGIN}
    reference["origin"]["label_name"] = dataset.label_name
    # By the first experiments.export notices thresholds of other weights, or of an export.
    reference["origin"]["weights_sha256"] = identity if WORKDIR.value else None
    reference["origin"]["model_sha256"] = identity if MODEL.value else None
    write_json(output, reference, allow_nan=False, indent=None)
    scorer.finish()
    _print(reference, output)


def _output():
    if OUTPUT.value:
        return pathlib.Path(OUTPUT.value)
    if not WORKDIR.value:
        raise UserError("--output: missing; name a JSON file for the thresholds of --model")
    return pathlib.Path(WORKDIR.value) / "quality.json"


def _patients_to_judge(dataset, foreign, trainings):
    """Choose the patients of further data who had no part in the training and the thresholds.

    Args:
        dataset: `Dataset` that the model was trained on, the first --data.
        foreign: list of the further ones.
        trainings: list of `Training`.

    Returns:
        For each, the list of ids, and a dict: how many patients were ``left_out``, and
        ``trained_on``, how many of the others were trained on: 0, or None where it is not known.
    """
    paths = dict(
        zip((each.content_hash() for each in (dataset, *foreign)), DATA.value, strict=True)
    )
    trainings = [training.located(paths) for training in trainings]
    split = dataset.split(trainings[0].fold)
    held_out = set().union(*map(dataset.identity, (*split.validation, *split.test)))
    chosen = []
    for path, other in zip(DATA.value[1:], foreign, strict=True):
        if other.size != dataset.size:
            raise UserError(f"{path}: of {other.size}^3 voxels, and the model of {dataset.size}^3")
        if other.content_hash() == dataset.content_hash():
            raise UserError(
                f"{path}: its patients are those of {DATA.value[0]}; give it once, and other data"
            )
        trained, is_known = trained_patients(other, other.ids, trainings)
        # Held-out patients gave the thresholds.
        same = {patient for patient in other.ids if other.identity(patient) & held_out} - trained
        ids = [patient for patient in other.ids if patient not in trained | same]
        if len(ids) < 2:
            raise UserError(
                f"{path}: the model was trained on {len(trained)} of its {len(other.ids)} "
                f"patients, and {len(same)} are held-out patients of {DATA.value[0]}, so too few "
                "are left; give other data"
            )
        for patients, reason in (
            (trained, "the model was trained on them"),
            (same, f"they are held-out patients of {DATA.value[0]}"),
        ):
            if patients:
                logging.warning(
                    "%s: %d of its %d patients are left out: %s",
                    *(path, len(patients), len(other.ids), reason),
                )
        if not is_known:
            logging.warning(
                "%s: whether the model was trained on some of its patients is not known", path
            )
        known = {"left_out": len(other.ids) - len(ids), "trained_on": 0 if is_known else None}
        chosen.append((ids[: FOREIGN_PATIENTS.value], known))
    return chosen


def _faults():
    """Return the names of the faults that are made."""
    if FAULTS_FLAG.value is None:
        return list(MADE_FAULTS)
    for name in FAULTS_FLAG.value:
        if name not in MADE_FAULTS:
            raise UserError(f"--faults={name}: must be one of {', '.join(MADE_FAULTS)}")
    return FAULTS_FLAG.value


def _print(reference, output):
    rate = reference["false_alarm_rate"]
    low, high = rate["interval"]
    print(
        f"{output}: {reference['held_out']} held-out patients, "
        f"{reference['film_normalization']} films; false alarms asked {rate['asked']:.3f}, each "
        f"patient judged by the others {rate['leave_one_out']:.3f} ({low:.2f} to {high:.2f})"
    )
    print(detection_table(reference["detection"]))
    for path, other in zip(DATA.value[1:], reference["foreign"], strict=True):
        print(f"\n{path}: {other['patients']} patients of other data, by the same thresholds")
        print(detection_table(other["detection"]))


def _origin_of_scores(identity, data_sha256):
    """Return what determines the scores of a film pair: model, training data and program."""
    return {
        "model": identity,
        "data_sha256": data_sha256,
        "commit": provenance.collect(None, None, None)["commit"],
        "versions": provenance.versions(),
    }


def _trainings_of_model(export):
    """Return the list of `Training` and the film normalisation of the run or the export."""
    if export is None:
        workdir = pathlib.Path(WORKDIR.value)
        config = read_config(workdir)
        if not config.reconstructs:
            raise UserError(
                f"--workdir={workdir}: reconstructs nothing, so its films need no checks; name a "
                "run that reconstructs"
            )
        return read_trainings(workdir), config.film_normalization
    training = training_of_export(export.metadata)
    if training.fold is None:
        raise UserError(
            f"{export.path}: its metadata do not name the data it was trained on; run "
            "experiments.export again"
        )
    return [training], export.film_normalization


def _model(export):
    """Return a function from a list of `Case` to their CTs in HU and labels, and its identity."""
    if export is not None:
        from xctrs_tf.reconstruction import load

        with stage("loading the model"):
            reconstructor = load(export, sha256=[MODEL_SHA256.value])

        def reconstruct(cases):
            found = [reconstructor(case.ap, case.la, case.spacing_mm) for case in cases]
            return [(each.ct_hu, each.segmentation) for each in found]

        return reconstruct, export.sha256

    from xctrs_tf.training.prediction import compile_run, predict_cases
    from xctrs_tf.training.run import load_run

    # As experiments.export stores it.
    with stage("loading the networks"):
        run = load_run(WORKDIR.value, CHECKPOINT.value, precision="float32")
    compiled = compile_run(run)

    batch_size = _BATCH_SIZES.get(run.config.size, 1)

    def predict(cases):
        # Always as many, since the networks are compiled anew for any other number.
        padded = [*cases, *[cases[-1]] * (batch_size - len(cases))]
        arrays = [network_arrays(case, run.config.film_normalization) for case in padded]
        found = predict_cases(compiled, [case.id for case in padded], arrays)
        return [(denormalise_hu(ct), labels) for ct, labels in found[: len(cases)]]

    return predict, run.weights_sha256


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
