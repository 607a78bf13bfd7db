"""The figures of one patient, and the table of all patients on disk."""

import csv
import json
import math
import pathlib

import numpy as np

from xctrs_tf.data.intensity import WINDOW_HU, normalise_hu
from xctrs_tf.files import atomic_path, write_text
from xctrs_tf.geometry import NUM_CLASSES, VERTEBRAE
from xctrs_tf.metrics import PROTOCOLS, dice_per_class

DICE_KEYS = tuple(f"dice_{name}" for name in VERTEBRAE)


def evaluate_case(case, ct_pred, labels_pred, protocol="xctrs"):
    """Compare a reconstruction and its segmentation with the patient's CT.

    Intensities are compared inside the network's HU window, where alone a
    reconstruction can be right.

    Args:
        case: `xctrs_tf.data.dataset.Case` with the ground truth.
        ct_pred: reconstruction in [0, 1], `[x, y, z]`.
        labels_pred: integer labels `[x, y, z]`, 0..7; None if the run does not
            segment: then there is no Dice.
        protocol: a name of `xctrs_tf.metrics.PROTOCOLS`.

    Returns:
        dict of `id`, `psnr` (dB), `ssim`, `ssim_3d`, `mae_hu`, `dice_C1` to
        `dice_C7` and `dice_mean` (fractions; NaN where the ground truth lacks
        the vertebra, which the mean leaves out).
    """
    ct_true = normalise_hu(case.ct)
    error = np.abs(np.asarray(ct_pred, np.float64) - ct_true)
    dice = np.full(len(VERTEBRAE), np.nan)
    if labels_pred is not None:
        dice = dice_per_class(case.segmentation, labels_pred, NUM_CLASSES)
    return {
        "id": case.id,
        **PROTOCOLS[protocol](ct_true, ct_pred),
        "mae_hu": float(error.mean() * (WINDOW_HU[1] - WINDOW_HU[0])),
        **dict(zip(DICE_KEYS, dice.tolist(), strict=True)),
        "dice_mean": _mean_of_present(dice),
    }


def write_cases_csv(path, rows, provenance):
    """Write one line a patient, and beside it where the lines come from.

    A value that does not exist (NaN) is an empty cell.

    Args:
        path: the CSV; the provenance gets the same name with `.json`.
        rows: dicts of `evaluate_case`, at least one.
        provenance: dict of `xctrs_tf.evaluation.provenance.collect`.
    """
    path = pathlib.Path(path)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    write_text(path.with_suffix(".json"), json.dumps(provenance, indent=2) + "\n")


def _mean_of_present(dice):
    present = dice[~np.isnan(dice)]
    return float(present.mean()) if present.size else math.nan


def _cell(value):
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.6f}"
