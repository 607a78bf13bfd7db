"""The experiment log: what the runs under a folder tried, and what validation gave."""

import collections
import dataclasses
import os
import pathlib

from xctrs_tf.data.dataset.manifest import DEFAULT_LABEL_NAME, MANIFEST, MODEL_MADE
from xctrs_tf.data.dataset.mixture import parse_data
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.tables.grids import NOTHING, TableGrid
from xctrs_tf.files import read_json
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.config.field_kinds import COMPUTATION, INTERVALS, NAMES_OF_FILES
from xctrs_tf.training.history import read_history, training_seconds
from xctrs_tf.training.run_record import read_config

# Fields that do not decide what a run learns.
_IGNORED = INTERVALS | COMPUTATION | {"steps"}
_HEADINGS = ("run", "steps", "hours", "best step", "loss", "PSNR (dB)")


@dataclasses.dataclass(frozen=True)
class LoggedRun:
    """One line of the log.

    Attributes:
        name: path of the run below the folder.
        flags: dict from field of its configuration to value, as text.
        steps: steps done.
        hours: time of the training steps, by the mean of those that were recorded.
        best_step: step of the lowest validation loss, or None.
        validation: dict of its scalars there.
        labels: who made the labels of the validation patients if it was a network, or "".
        dice_name: name of the overlap with them, such as ``"pseudo-label Dice"``; None if the
            data and an evaluation of the run are not at hand.
    """

    name: str
    flags: dict
    steps: int
    hours: float
    best_step: int | None
    validation: dict
    labels: str = ""
    dice_name: str | None = None


def read_log(folder):
    """Read all runs under a folder.

    Args:
        folder: path.

    Returns:
        List of `LoggedRun`, by name.

    Raises:
        UserError: there is none, or a run's configuration is damaged.
    """
    folder = pathlib.Path(folder)
    paths = sorted(_run_folders(folder))
    if not paths:
        raise UserError(f"--runs={folder}: holds no run of experiments.train")
    return [_read(path, path.relative_to(folder).as_posix()) for path in paths]


def _run_folders(folder):
    """Yield the folders with a run, also those that links name; each once."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        path = pathlib.Path(root)
        # A link to a folder above would lead round and round.
        if path.resolve() in seen:
            folders.clear()
            continue
        seen.add(path.resolve())
        folders.sort(key=lambda name, path=path: ((path / name).is_symlink(), name))
        # A copy of another run has no line of its own.
        if "config.json" in files and path.name != "reconstruction_run":
            yield path


def log_grid(runs):
    """Lay the log out as a table.

    Args:
        runs: list of `LoggedRun`.

    Returns:
        `TableGrid`. Its notes have the flags in which the runs differ: those of most runs once,
        then for each run what it has instead. Runs that do not differ have the flags that are
        not the defaults.
    """
    scalars = (("loss", 1, ".4g"), ("psnr", 1, ".2f"), ("dice_hard", 100, ".2f"))
    # A run whose data are not at hand tells none.
    names = {run.dice_name for run in runs} - {None}
    (dice_name,) = names if len(names) == 1 else (None,)
    lines = [
        [
            run.name,
            f"{run.steps} of {run.flags['steps']}",
            f"{run.hours:.1f}",
            NOTHING if run.best_step is None else str(run.best_step),
            *(
                _figure(run.validation.get(name), *shown)
                + (_of_labels(run, dice_name) if name == "dice_hard" else "")
                for name, *shown in scalars
            ),
        ]
        for run in runs
    ]
    notes = ["Figures of the validation patients at the best step; losses of other terms differ."]
    notes += _flag_notes(runs)
    return TableGrid("", [*_HEADINGS, f"{dice_name or DEFAULT_LABEL_NAME} (%)"], lines, notes)


def _flag_notes(runs):
    """Return the flags of most runs, and what each of the others has instead.

    Where all have the same flags, those that are not the defaults are told.
    """
    values = {
        name: collections.Counter(run.flags.get(name) for run in runs)
        for name in runs[0].flags
        if name not in _IGNORED and not all(_named(run, name) for run in runs)
    }
    varied = {name: counts.most_common(1)[0] for name, counts in values.items() if len(counts) > 1}
    usual = {name: value for name, (value, count) in varied.items() if 2 * count > len(runs)}
    whose, no_others = "Most runs", "as most runs"
    if not varied:
        whose, no_others = "All runs", ""
        defaults = _flags(TrainingConfig())
        usual = {
            name: runs[0].flags[name] for name in values if runs[0].flags[name] != defaults[name]
        }
    notes = []
    if any(usual.values()):
        notes.append(f"{whose}: {' '.join(_flag(*each) for each in usual.items() if each[1])}")
    alike = {}
    for run in runs:
        flags = [
            _flag(name, run.flags[name])
            for name in varied
            if run.flags[name] != usual.get(name, "") and not _named(run, name)
        ]
        told = [" ".join(flags) or no_others, f"labels {run.labels}" if run.labels else ""]
        alike.setdefault("; ".join(filter(None, told)), []).append(run.name)
    return notes + [f"{', '.join(names)}: {told}" for told, names in alike.items() if told]


def _flag(name, value):
    return f"--{name}={value}"


def _named(run, field):
    """Tell whether the name of a run's folder has its fold and seed."""
    place = f"fold-{int(run.flags['fold']):02d}-seed-{run.flags['seed']}"
    return field in ("fold", "seed") and run.name.endswith(place)


def _of_labels(run, dice_name):
    """Return what a cell says of labels that the heading does not say."""
    if run.labels:
        return f", {MODEL_MADE} labels"
    told = run.dice_name in (None, DEFAULT_LABEL_NAME, dice_name)
    return "" if told or "dice_hard" not in run.validation else f", {run.dice_name}"


def _figure(value, scale, digits):
    return NOTHING if value is None else format(scale * value, digits)


def _read(path, name):
    config, history = read_config(path), read_history(path)
    validations = [row for row in history if row["kind"] == "validation"]
    steps = max((row["step"] for row in history), default=0)
    best = min(validations, key=lambda row: row["loss"], default=None)
    return LoggedRun(
        name=name,
        flags=_flags(config),
        steps=steps,
        hours=training_seconds(history) / 3600.0,
        best_step=best and best["step"],
        validation=best or {},
        labels=_labels(path),
        dice_name=_dice_name(path, config),
    )


def _flags(config):
    return {field: _short(field, value) for field, value in config.to_json().items()}


def _labels(path):
    """Return who made the labels of a run's first data folder if it was a network, or ""."""
    folders = read_json(path / "config.json").get("folders") or [{}]
    made = {each.get("labels", "") for each in folders[0].get("sources", [])}
    return ", ".join(sorted(made - {""}))


def _dice_name(path, config):
    """Return the name of the overlap by the run's evaluation or its data; None if neither tells."""
    first = pathlib.Path(parse_data(config.data)[0].path)
    for file, name in (
        (path / "evaluation" / "cases.json", "dice_name"),
        (first / MANIFEST, "label_name"),
    ):
        try:
            found = read_json(file).get(name)
        except (OSError, ValueError):
            continue
        if isinstance(found, str):
            return found
    return None


def _short(field, value):
    """Return a value as text; of folders only their names."""
    if field in NAMES_OF_FILES:
        return ",".join(pathlib.PurePath(part).name for part in value.split(",") if part)
    return f"{value:g}" if isinstance(value, float) else str(value)
