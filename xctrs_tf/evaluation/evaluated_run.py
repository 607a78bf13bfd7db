"""A run and its data, for the programs that evaluate it."""

import logging
import pathlib

from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, choose_cohort
from xctrs_tf.evaluation.tables.collection import FREE_SETTINGS
from xctrs_tf.evaluation.tables.results import method_name
from xctrs_tf.training.run_record import read_config, read_run_record

_NO_WORKDIR = "--workdir is missing: name a run of experiments.train"


def open_run(workdir, checkpoint, data=None, warm_up=None):
    """Load a run's networks, and open the data that they are evaluated on.

    Args:
        workdir: the run folder, of --workdir.
        checkpoint: ``"best"`` or ``"last"``.
        data: another data folder than the run's own.
        warm_up: function without arguments, called once the data are known to fit
            and before Keras is imported.

    Returns:
        ``(run, dataset)``: `xctrs_tf.training.run.Run` and `Dataset`.

    Raises:
        UserError: no folder is named, there is no run in it, or the data do not
            suit (`open_run_dataset`).
    """
    if not workdir:
        raise UserError(_NO_WORKDIR)
    workdir = pathlib.Path(workdir)
    dataset = open_run_dataset(workdir, read_config(workdir), data)
    if warm_up is not None:
        warm_up()
    from xctrs_tf.training.run import load_run

    return load_run(workdir, checkpoint), dataset


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
        Training(
            record.data_sha256, record.config.fold, record.config.data_folder, record.split_sha256
        )
        for record in records
    ]


def warn_of_other_data(workdir, dataset, split):
    """Log a warning if the data are not a run's own, with the number of its training patients.

    Args:
        workdir: `pathlib.Path` of the run folder.
        dataset: `Dataset` that it is evaluated on, in the run's fold.
        split: name of a list of `Split`.
    """
    trainings = read_trainings(workdir)
    cohort = choose_cohort(dataset, trainings, split, trainings[0].fold)
    if not cohort.is_own:
        logging.warning("%s", cohort.warning())


def fold_folders(workdir):
    """List the runs that --workdir names: one, or the folds of a method.

    Args:
        workdir: a run folder, or a folder of runs ``fold-<n>-seed-<n>`` such as
            ``RUNS/table1-xctrsnet`` of experiments.cross_validate.

    Returns:
        List of `pathlib.Path`, in the order of the folds. Every patient is a test patient
        of one of them at most.

    Raises:
        UserError: no folder is named, there is no run in it, or its runs are not of the
            same data and settings, with one for each fold.
    """
    if not workdir:
        raise UserError(_NO_WORKDIR)
    workdir = pathlib.Path(workdir)
    if (workdir / "config.json").is_file():
        return [workdir]
    folders = sorted(path.parent for path in workdir.glob("fold-*-seed-*/config.json"))
    if not folders:
        raise UserError(
            f"--workdir={workdir}: neither a run of experiments.train nor a folder of its folds"
        )
    settings = [_settings(folder) for folder in folders]
    for folder, own in zip(folders, settings, strict=True):
        differing = sorted(name for name in own if own[name] != settings[0][name])
        if differing:
            raise UserError(
                f"--workdir={workdir}: {folder.name} has another {differing[0]} than "
                f"{folders[0].name}; name one run"
            )
    return folders


def _settings(folder):
    """Return what the runs of a method have in common, whatever their fold."""
    record = read_run_record(folder)
    fields = {k: v for k, v in record.config.to_json().items() if k not in FREE_SETTINGS}
    return {**fields, "seed": record.config.seed, "data": record.data_sha256}


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
        The name, by `xctrs_tf.evaluation.tables.results.method_name`.
    """
    from xctrs_tf.training.frozen_reconstruction import frozen_folder

    frozen = read_config(frozen_folder(run.path)) if run.config.reconstruction_run else None
    return method_name(run.config, frozen)
