"""A run and its data, for the programs that evaluate it."""

import dataclasses
import logging
import pathlib

from xctrs_tf import provenance
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.mixture import parse_data
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Cohort, choose_cohort, training_of
from xctrs_tf.evaluation.results.collection import RUN_NAME, without_folders
from xctrs_tf.evaluation.results.finished_run import is_evaluated
from xctrs_tf.evaluation.results.result_folder import method_name
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.run_record import read_config, read_run_record

_NO_WORKDIR = "--workdir is missing: name a run of experiments.train"


@dataclasses.dataclass(frozen=True)
class EvaluatedFold:
    """A run, and the patients of its fold that it is evaluated on.

    Attributes:
        folder: `pathlib.Path` of the run.
        config: its `TrainingConfig`.
        cohort: `Cohort`.
    """

    folder: pathlib.Path
    config: TrainingConfig
    cohort: Cohort


def open_folds(workdir, data=None, split="test"):
    """Open the data of a run, or of all folds of a method.

    A warning tells if they hold training patients of the networks.

    Args:
        workdir: as of `fold_folders`.
        data: another data folder than the runs' own.
        split: name of a list of `Split`.

    Returns:
        List of `EvaluatedFold`, at least one.

    Raises:
        UserError: as `fold_folders`, `open_run_dataset` and `choose_cohort`, or several
            folds have patients of this part in common.
    """
    folders = fold_folders(workdir)
    if len(folders) > 1 and split != "test":
        raise UserError(
            f"--split: {workdir} has {len(folders)} folds, in which each patient is tested once "
            "but validated or trained on several times; name one run, or leave --split out"
        )
    found = []
    for folder in folders:
        config = read_config(folder)
        dataset = open_run_dataset(folder, config, data)
        cohort = choose_cohort(dataset, read_trainings(folder), split, config.fold)
        found.append(EvaluatedFold(folder, config, cohort))
        warning = cohort.warning()
        if warning and split != "training":
            logging.warning("%s: %s", folder.name, warning)
    return found


def collect_origin(rows, folds, steps, workdir, seed, **more):
    """Return where the rows of a study come from, for its JSON file.

    Args:
        rows: dicts with the ``id`` of a patient.
        folds: list of the `EvaluatedFold` that they are of.
        steps: of the weights of each.
        workdir: folder of the runs, whose place on this machine is left out.
        seed: of the study.
        **more: further JSON values.

    Returns:
        Dict of `provenance.collect`, with what `origin_of_folds` tells.
    """
    origin = provenance.collect(
        n=len({row["id"] for row in rows}),
        seed=seed,
        data_hash=folds[0].cohort.dataset.content_hash(),
        **more,
        **origin_of_folds(folds, steps),
    )
    root = pathlib.Path(workdir).absolute().parent
    origin["command"] = without_folders(origin["command"], root)
    return origin


def origin_of_folds(folds, steps):
    """Return what the records of a study say of its patients and weights.

    Args:
        folds: list of `EvaluatedFold`.
        steps: of the weights of each.

    Returns:
        Dict of JSON values: ``folds``, ``steps``, ``split``, and of `Cohort`
        ``is_training_data`` and ``trained_on``.
    """
    cohorts = [fold.cohort for fold in folds]
    seen = [cohort.trained_on for cohort in cohorts]
    return {
        "folds": [fold.config.fold for fold in folds],
        "steps": list(steps),
        "split": cohorts[0].split,
        "is_training_data": all(cohort.is_own for cohort in cohorts),
        "trained_on": None if None in seen else sum(seen),
    }


def read_trainings(workdir):
    """Read what the networks of a run were trained on.

    Args:
        workdir: `pathlib.Path` of the run folder.

    Returns:
        List of `Training`: of the run, and of the finished run that it builds on, if any.

    Raises:
        UserError: there is no run in the folder.
    """
    records = [read_run_record(workdir)]
    if records[0].config.reconstruction_run:
        records.append(read_run_record(workdir / "reconstruction_run"))
    return [
        dataclasses.replace(
            training_of(
                record.config.fold,
                record.folders,
                record.stages,
                [folder.path for folder in parse_data(record.config.data)],
            ),
            takes_films=record.config.reconstructs,
        )
        for record in records
    ]


def fold_folders(workdir):
    """List the runs that --workdir names: one, or the folds of a method.

    Args:
        workdir: a run folder, or a folder of runs ``fold-<n>-seed-<n>`` such as
            ``RUNS/table1-xctrsnet`` of experiments.cross_validate.

    Returns:
        List of `pathlib.Path`, in the order of the folds. Every patient is a test patient
        of one of them at most.

    Raises:
        UserError: no folder is named, there is no run in it, or its runs are not finished
            or not of the same data and settings, with one for each fold.
    """
    if not workdir:
        raise UserError(_NO_WORKDIR)
    workdir = pathlib.Path(workdir)
    if (workdir / "config.json").is_file():
        return [workdir]
    folders = sorted(
        path.parent
        for path in workdir.glob("*/config.json")
        if RUN_NAME.fullmatch(path.parent.name)
    )
    if not folders:
        raise UserError(
            f"--workdir={workdir}: neither a run of experiments.train nor a folder of its folds"
        )
    records = [read_run_record(folder) for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        if not is_evaluated(folder):
            raise UserError(
                f"--workdir={workdir}: {folder.name} is not finished; let "
                "experiments.cross_validate run on, or name one run"
            )
        if differing := _differences(record, records[0]):
            raise UserError(
                f"--workdir={workdir}: {differing[0]} of {folder.name} is not that of "
                f"{folders[0].name}; name one run"
            )
    folds = [record.config.fold for record in records]
    if len(set(folds)) < len(folds):
        raise UserError(f"--workdir={workdir}: has a fold twice; name one run")
    return folders


def _differences(record, other):
    """Name what differs between runs that should be of one method, whatever their fold."""
    settings, others = (
        {**each.compared_fields(), "seed": each.config.seed, "data": each.data_sha256}
        for each in (record, other)
    )
    # What an earlier version does not tell is no difference.
    shared = settings.keys() & others.keys()
    return sorted(name for name in shared if settings[name] != others[name])


def open_run_dataset(workdir, config, data=None):
    """Open the data that a run is evaluated on.

    Args:
        workdir: `pathlib.Path` of the run folder.
        config: its `TrainingConfig`.
        data: another data folder than the run's own.

    Returns:
        `Dataset`.

    Raises:
        UserError: it does not fit the networks, or it has changed since the run was
            trained, so that its test patients may have been training patients.
    """
    dataset = open_dataset(data or config.data_folder)
    if dataset.size != config.size:
        raise UserError(
            f"{dataset.path} has {dataset.size} voxels a side, the run {workdir} has "
            f"{config.size}; prepare with --size={config.size}"
        )
    if data is None and not read_run_record(workdir).is_on(dataset):
        raise UserError(
            f"{dataset.path} has changed since {workdir} was trained on it, its folds too "
            "perhaps; name the data with --data to evaluate nonetheless"
        )
    return dataset


def run_name(run):
    """Return the name of a run in tables.

    Args:
        run: `xctrs_tf.training.run.Run`.

    Returns:
        The name, by `xctrs_tf.evaluation.results.result_folder.method_name`.
    """
    from xctrs_tf.training.frozen_reconstruction import copied_run

    frozen = read_config(copied_run(run.path)) if run.config.reconstruction_run else None
    return method_name(run.config, frozen)
