"""The record of a run's losses: history.jsonl and TensorBoard events."""

import json
import logging
import pathlib
import statistics

from xctrs_tf.errors import UserError
from xctrs_tf.files import append_text, write_text
from xctrs_tf.training import checkpoints
from xctrs_tf.training.run_record import read_config

_FILE = "history.jsonl"
# On what the end of a run depends.
_END = ("steps", "patience", "validate_every")
# Times the median step, beyond which something other than the training took the time.
_SUSPENDED = 20.0


class History:
    """Scalars by step, as lines of JSON and as TensorBoard events.

    Args:
        run: the run folder.
        step: steps done so far; lines after it, left by a killed run that got
            further than its last checkpoint, are dropped.
        events: `Events`, or None where there are none.
    """

    def __init__(self, run, step, events=None):
        self._path = pathlib.Path(run) / _FILE
        rows = [row for row in read_history(run) if row["step"] <= step]
        write_text(self._path, "".join(map(_line, rows)))
        self._events = events

    def scalars(self, step, kind, values):
        """Add one row.

        Args:
            step: training step.
            kind: ``"training"`` or ``"validation"``.
            values: dict of floats.
        """
        append_text(self._path, _line({"step": step, "kind": kind, **values}))
        if self._events is not None:
            named = {f"{kind}/{name}": value for name, value in values.items()}
            self._events.scalars(step, named)

    def pictures(self, step, patients):
        """Add a picture of each patient: films, truth and prediction.

        Args:
            step: training step.
            patients: list of `validation.ValidatedPatient`.
        """
        if self._events is None or not patients:
            return
        # Matplotlib takes half a second to import.
        from xctrs_tf.drawing.validation_picture import validation_picture

        for patient in patients:
            picture = validation_picture(patient, step)
            self._events.picture(step, f"validation/{patient.id}", picture)


def read_history(run):
    """Read a run's history.jsonl, without TensorFlow.

    Args:
        run: the run folder.

    Returns:
        List of dicts with ``step`` and ``kind``, one a line. Damaged lines are left out
        with a warning, except a last one that a kill cut short. Empty if there is no
        file.
    """
    path = pathlib.Path(run) / _FILE
    rows, damaged = [], []
    *lines, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate([*lines, last], 1):
        row = _read_line(line)
        if row is not None:
            rows.append(row)
        elif line.strip() and number <= len(lines):
            damaged.append(number)
    if damaged:
        logging.warning("%s: left out what is damaged: line %s", path, ", ".join(map(str, damaged)))
    return rows


def check_continuation(run, config):
    """Check that a run can go on as a configuration says.

    Args:
        run: the run folder.
        config: `TrainingConfig`.

    Raises:
        UserError: it has taken more steps, by whose schedule its learning rate was, or has ended
            and has its best weights but no checkpoint to go on from.
    """
    done = checkpoints.latest_step(run)
    if done is None:
        before, best = read_config(run), checkpoints.read_state(pathlib.Path(run) / "best")
        same_end = all(getattr(before, name) == getattr(config, name) for name in _END)
        if best is not None and not same_end:
            state_without_checkpoint(run, best, config, before)
        done = max((row["step"] for row in read_history(run)), default=0)
    if done > config.steps:
        raise UserError(
            f"--workdir={run} has taken {done} steps, and this run would have {config.steps}; give "
            f"at least --steps={done}, or name another folder"
        )


def state_without_checkpoint(run, best, config, before=None):
    """Return the state of a run that has its best weights, but no whole checkpoint.

    Args:
        run: the run folder.
        best: dict, the state of its best weights.
        config: `TrainingConfig`.
        before: the one that it had at its last start, by which it may have ended.

    Returns:
        Dict as of a checkpoint at its last step, if the run has ended; None if it was killed
        before its first checkpoint, so that it begins anew.

    Raises:
        UserError: neither, so that the run cannot go on. It does not begin anew, since this
            would replace the best weights.
    """
    rows = read_history(run)
    state = _end(rows, best, config)
    if state is not None:
        return state
    had_ended = before is not None and _end(rows, best, before) is not None
    last = max([best["step"], *(row["step"] for row in rows)])
    if last <= config.checkpoint_every and not had_ended:
        return None
    raise UserError(
        f"{run}: no whole checkpoint is left to go on from, only the best weights, of step "
        f"{best['step']}; evaluate these, or name another --workdir"
    )


def _end(rows, best, config):
    """Return the state at the end of a run by its configuration, None if it has not ended."""
    validated = [row["step"] for row in rows if row["kind"] == "validation"]
    last = max(validated, default=0)
    later = [step for step in validated if step > best["step"]]
    without_gain = sum(step % config.validate_every == 0 for step in later)
    if last < config.steps and not 0 < config.patience <= without_gain:
        return None
    state = {"step": last, "validated": last, "without_gain": without_gain}
    return {**state, "best_loss": best["validation"]["loss"]}


def training_seconds(history):
    """Return the time of a run's training steps, by the mean of those that were recorded.

    A step during which the machine or the program was suspended does not count.

    Args:
        history: list of rows, of `read_history`.

    Returns:
        float; 0 if no step was recorded.
    """
    steps = max((row["step"] for row in history), default=0)
    recorded = [
        row["seconds"]
        for row in history
        if row["kind"] == "training" and isinstance(row.get("seconds"), float)
    ]
    if not recorded:
        return 0.0
    longest = _SUSPENDED * statistics.median(recorded)
    return steps * statistics.fmean(seconds for seconds in recorded if seconds <= longest)


def _read_line(line):
    """Return the row of a line, None if it is damaged."""
    try:
        row = json.loads(line)
        if isinstance(row["step"], int) and isinstance(row["kind"], str):
            return row
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _line(row):
    return json.dumps(row) + "\n"
