"""The record of a run's losses: history.jsonl and TensorBoard events."""

import json
import pathlib

import numpy as np

from xctrs_tf.geometry import PLANE_AXIS, screen


class History:
    """Scalars by step, as lines of JSON and as TensorBoard events.

    Args:
        run: the run folder.
        step: steps done so far; lines after it, left by a killed run that got
            further than its last checkpoint, are dropped.
        events: `Events`, or None where there are none.
    """

    def __init__(self, run, step, events=None):
        self._path = pathlib.Path(run) / "history.jsonl"
        rows = read_history(run)
        self._path.write_text(
            "".join(_line(row) for row in rows if row["step"] <= step), encoding="utf-8"
        )
        self._events = events

    def scalars(self, step, kind, values):
        """Add one row.

        Args:
            step: training step.
            kind: ``"training"`` or ``"validation"``.
            values: dict of floats.
        """
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": step, "kind": kind, **values}))
        if self._events is not None:
            named = {f"{kind}/{name}": value for name, value in values.items()}
            self._events.scalars(step, named)

    def planes(self, step, y_true, y_pred):
        """Add a picture: middle planes of the truth above those of the prediction.

        Args:
            step: training step.
            y_true: CT ``[x, y, z]`` in [0, 1].
            y_pred: reconstruction, same shape.
        """
        if self._events is not None:
            self._events.picture(step, "validation/planes", mid_planes(y_true, y_pred))


def read_history(run):
    """Read a run's history.jsonl, without TensorFlow.

    Args:
        run: the run folder.

    Returns:
        List of dicts, one a line; a line that a kill cut short and all after it
        are left out. Empty if there is no file.
    """
    path = pathlib.Path(run) / "history.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def mid_planes(*volumes):
    """Sagittal, coronal and axial middle planes side by side, one row a volume.

    Args:
        *volumes: cubic arrays ``[x, y, z]`` in [0, 1].

    Returns:
        float32 array ``[row, column]``.
    """
    rows = []
    for volume in volumes:
        middle = volume.shape[0] // 2
        planes = [screen(volume.take(middle, axis), name) for name, axis in PLANE_AXIS.items()]
        rows.append(np.concatenate(planes, axis=1))
    return np.clip(np.concatenate(rows, axis=0), 0.0, 1.0).astype(np.float32)


def _line(row):
    return json.dumps(row) + "\n"
