"""Evaluate a trained run on films that differ from those of its training.

  python -m experiments.studies.robustness --workdir=RUN --output=RESULTS [--scans=DIR]

RUN is a run, or a folder of the folds of one method, such as RUNS/table1-xctrsnet of
experiments.cross_validate: then each patient is reconstructed by the network of the fold
that tests them.

Measures PSNR, SSIM and mean Dice of the test patients with films as in training,
and with the patient turned or shifted, cone rays, the whole scan's shadow (--scans),
noise, other exposure, enhanced contrast, and the two views swapped. A choice between runs
is made on --split=validation. Writes robustness.csv (a line a
patient and severity), .json (where it comes from), .md and .png to --output.
"""

import pathlib
import sys

from absl import flags, logging

from experiments.common import cli
from experiments.common.run_flags import RunFlags
from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.data.dataset.header_correction import HEADER, centre_of, correct_header
from xctrs_tf.data.dataset.preparation import image_hash
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry
from xctrs_tf.data.sources.pairs import read_ct_parts
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.evaluated_run import collect_origin, open_folds
from xctrs_tf.evaluation.patient import evaluate_case, write_cases_csv
from xctrs_tf.evaluation.perturbations import PERTURBATIONS, perturbed_arrays
from xctrs_tf.evaluation.tables.grids import markdown
from xctrs_tf.evaluation.tables.study_tables import (
    ROBUSTNESS_FIGURES,
    UNPERTURBED,
    patients_note,
    robustness_grid,
)
from xctrs_tf.files import read_csv, write_text
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
RUN = RunFlags(
    FLAGS,
    ("workdir", "data", "checkpoint", "output", "label_name"),
    "Folder to write; always needed.",
)
SCANS = flags.DEFINE_string(
    "scans",
    None,
    "Folder of the NIfTI scans that the data was made from (--input of experiments.prepare), for "
    "the films of the whole scan. Where one of them is missing or another one, these are left out "
    "with a warning; if --perturbations names `full`, it is an error.",
    flag_values=FLAGS,
)
SPLIT = flags.DEFINE_enum(
    "split",
    "test",
    ["test", "validation"],
    "Patients of the run's fold: held out, or those on which choices are made.",
    flag_values=FLAGS,
)


def define_perturbations(flag_values):
    """Define the flag that names kinds of films.

    Args:
        flag_values: `flags.FlagValues` of the program.

    Returns:
        The flag.
    """
    return flags.DEFINE_list(
        "perturbations",
        list(PERTURBATIONS),
        f"Kinds of films, of {', '.join(PERTURBATIONS)}.",
        flag_values=flag_values,
    )


PERTURBATION_NAMES = define_perturbations(FLAGS)
SEED = flags.DEFINE_integer(
    "seed", 0, "Of directions, noise and curves.", lower_bound=0, flag_values=FLAGS
)


def execute():
    """Evaluate the runs on perturbed films."""
    if not RUN.output.value:
        raise UserError("--output is missing: name a folder")
    names = PERTURBATION_NAMES.value
    require_perturbations(names)
    output = pathlib.Path(RUN.output.value)
    scans = pathlib.Path(SCANS.value) if SCANS.value else None
    folds = open_folds(RUN.workdir.value, RUN.data.value, SPLIT.value)
    for fold in folds:
        _check_data(fold)
    scans = _checked_scans(folds, scans, names)
    cli.lock_output(output)
    cli.load_tensorflow()
    from xctrs_tf.training.prediction import compile_run
    from xctrs_tf.training.run import load_run

    label_name = folds[0].cohort.dataset.overlap_name(RUN.label_name.value)
    rows, steps = [], []
    for fold in folds:
        run = compile_run(load_run(fold.folder, RUN.checkpoint.value))
        found = robustness_rows(run, fold.cohort, SEED.value, scans, names)
        rows += [{"fold": fold.config.fold, **row} for row in found]
        steps.append(run.step)
    own = {"training_seed": folds[0].config.seed, "dice_name": label_name}
    origin = collect_origin(rows, folds, steps, RUN.workdir.value, SEED.value, **own)
    write_cases_csv(output / "robustness.csv", rows, origin)
    lines = read_csv(output / "robustness.csv")
    text = markdown([robustness_grid(lines, label_name, patients_note(origin))])
    write_text(output / "robustness.md", text)
    # Matplotlib takes a while to import.
    from xctrs_tf.evaluation.figures.robustness_figure import robustness_figure

    robustness_figure(output / "robustness.png", lines, label_name)
    print(text)
    print("\n".join(str(output / f"robustness.{kind}") for kind in ("csv", "json", "md", "png")))


def require_perturbations(names):
    """Refuse a name of --perturbations that is none.

    Args:
        names: what should be keys of `PERTURBATIONS`.

    Raises:
        UserError: one of them is unknown.
    """
    for name in names:
        if name not in PERTURBATIONS:
            raise UserError(f"--perturbations={name}: must be of {', '.join(PERTURBATIONS)}")


def robustness_rows(run, cohort, seed=0, scans=None, names=tuple(PERTURBATIONS)):
    """Evaluate every patient of a part of the fold under perturbations, at every severity.

    Args:
        run: `xctrs_tf.training.run.Run`.
        cohort: `Cohort` of its fold, with parallel films of the crop.
        seed: of what is drawn.
        scans: `pathlib.Path` of the scans; without it the perturbations that need them are
            left out.
        names: keys of `PERTURBATIONS`.

    Returns:
        List of dicts: `perturbation`, `severity`, `id`, `psnr`, `ssim`, `dice_mean`. The mean
        volume is left out where the training data are not at hand.

    Raises:
        UserError: as `read_scan`.
    """
    from xctrs_tf.training.prediction import predict_case

    dataset, ids = cohort.dataset, cohort.ids
    average, _ = cohort.mean_volume()
    records = _records(dataset)
    settings = [
        (name, severity)
        for name, perturbation in PERTURBATIONS.items()
        if name in names and (scans or not perturbation.needs_scan)
        for severity in perturbation.severities
    ]
    needs_scans = any(PERTURBATIONS[name].needs_scan for name, _ in settings)
    rows = []

    def add(name, severity, case, ct, labels):
        figures = evaluate_case(case, ct, labels)
        kept = {key: figures[key] for key in ROBUSTNESS_FIGURES}
        rows.append({"perturbation": name, "severity": severity, "id": case.id, **kept})

    total = len(ids) * (1 + len(settings))
    with progress_bar(total=total, unit="film pair", description=f"fold {run.config.fold}") as bar:
        for patient in ids:
            case = dataset.load(patient)
            arrays = network_arrays(case, run.config.film_normalization)
            scan = read_scan(scans, records[patient]) if needs_scans else None
            if average is not None:
                add(MEAN_VOLUME_ROW, 0, case, average.ct, average.labels)
            add(UNPERTURBED, 0, case, *predict_case(run, patient, arrays))
            bar.update()
            for name, severity in settings:
                changed = perturbed_arrays(
                    case, arrays, name, severity, seed, scan, run.config.film_normalization
                )
                add(name, severity, case, *predict_case(run, patient, changed))
                bar.update()
    return rows


def _checked_scans(folds, scans, names):
    """Return the folder of the scans; None where they are not those of all patients."""
    needing = [name for name in names if PERTURBATIONS[name].needs_scan]
    is_asked = bool(needing) and PERTURBATION_NAMES.present
    if not needing or (scans is None and not is_asked):
        return None
    if scans is None:
        raise UserError(f"--perturbations={needing[0]}: needs the scans; name them with --scans")
    # Before the films, which take hours: a row is of all patients, or of none.
    of_ids = {each: fold.cohort.dataset for fold in folds for each in fold.cohort.ids}
    try:
        for patient in progress_bar(list(of_ids), unit="scan", description="checking"):
            read_scan(scans, _records(of_ids[patient])[patient])
    except UserError as error:
        if is_asked:
            raise
        logging.warning("%s: left out, since %s", PERTURBATIONS[needing[0]].title, error)
        return None
    return scans


def _records(dataset):
    return {record["id"]: record for record in dataset.manifest["patients"]}


def read_scan(scans, record):
    """Read the scan that a patient was cropped from, as experiments.prepare does.

    Args:
        scans: `pathlib.Path` of the folder of the scans.
        record: the patient's in the manifest.

    Returns:
        `Volume` in HU, its header corrected where that of the patient was.

    Raises:
        UserError: a file is missing or unreadable, or it is another scan.
    """
    files = [scans / name for name in record.get("source_files", [record["source_file"]])]
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: no such file; let --scans name the --input of prepare")
    scan = read_ct_parts(files)
    if correction := record.get(HEADER):
        scan = correct_header(scan, correction, centre_of(scan))
    # Folders of earlier versions have no hashes of the scans.
    if record.get("image_sha256") not in (None, image_hash(scan)):
        remedy = "let --scans name the --input of prepare"
        # Earlier versions resampled an oblique scan before they hashed it.
        if scan.direction is not None:
            remedy += ", or prepare the data anew if an earlier version of this program did so"
        raise UserError(
            f"{files[0]}: not the scan that patient {record['id']} was prepared from; {remedy}"
        )
    return scan


def _check_data(fold):
    """Refuse a run, or data, that perturbations cannot start from."""
    if not fold.config.reconstructs:
        raise UserError(
            f"--workdir={fold.folder}: reconstructs nothing, so films do not matter to it"
        )
    projection = fold.cohort.dataset.manifest["projection"]
    plain = ({"geometry": "parallel"}, ProjectionGeometry().to_json())
    if projection not in plain:
        raise UserError(
            f"{fold.cohort.dataset.path}: its films are no parallel ones of the crop, from which "
            "every perturbation starts; prepare it without projection flags"
        )


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
