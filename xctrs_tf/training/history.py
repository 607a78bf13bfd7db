"""Reading what a run wrote down while it trained, without TensorFlow."""

import json
import pathlib


def read_history(run):
    """Rows of a run's history.jsonl; a line cut by a kill is left out."""
    path = pathlib.Path(run) / "history.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
