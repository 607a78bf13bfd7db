"""Figures of a CT segmentation by the protocol of VerSe: identification rate and Dice.

A vertebra is identified where the centroid of the predicted vertebra of the same name is at
most 20 mm from its own, and no other true centroid is nearer to it. Sekuboyina et al., VerSe: A
Vertebrae Labelling and Segmentation Benchmark (2021), Sect. 3.4.

Levels that the tool does not name count as not identified. Beside these figures stand those of
the likely levels, which the network says of every vertebra.
"""

import dataclasses
import math

import numpy as np

from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.evaluation.patient import IMAGE_FIGURES, evaluate_case
from xctrs_tf.evaluation.statistics import mean_sd
from xctrs_tf.evaluation.tables.grids import TableGrid, mean_text
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.metrics import dice_per_class
from xctrs_tf.quality.vertebra_labels import centroid, vertebra_masks

# Largest distance between true and predicted centroid, of VerSe.
IDENTIFIED_MM = 20.0
_LABELS = {name: label for label, name in enumerate(VERTEBRAE, start=1)}
# Name, factor and digits of the figures of a vertebra; that of Dice is the name of the overlap.
_SHOWN = {
    "identified": ("identified (%)", 100, 1),
    "distance": ("centroid off by (mm)", 1, 1),
    "dice": ("{dice_name} (%)", 100, 1),
    "hd95": ("HD95 (mm)", 1, 1),
}


def evaluated_volume(case):
    """Return the CT of a patient that is segmented: the kept scan, or the crop without one.

    Args:
        case: `xctrs_tf.data.dataset.Case`.

    Returns:
        `Volume` in HU.
    """
    hu = case.ct if case.scan is None else case.scan
    origin_mm = np.add(case.origin_mm, case.spacing_mm * np.array(case.scan_start))
    return Volume(hu, (case.spacing_mm,) * 3, tuple(origin_mm.tolist()))


def true_labels(case):
    """Return the true labels on the grid of `evaluated_volume`.

    Args:
        case: `xctrs_tf.data.dataset.Case`.

    Returns:
        uint8 array ``[x, y, z]``, 1..7 = C1..C7; background outside the crop, which holds all
        of C1..C7.
    """
    if case.scan is None:
        return case.segmentation
    labels = np.zeros(case.scan.shape, np.uint8)
    size = case.segmentation.shape[0]
    labels[tuple(slice(-first, size - first) for first in case.scan_start)] = case.segmentation
    return labels


def evaluate_levels(case, result):
    """Compare the segmentation of a patient's CT with the true labels.

    Args:
        case: `xctrs_tf.data.dataset.Case`, loaded with its scan where that is kept.
        result: `segmenter.CTSegmentation` of `evaluated_volume`; None where the tool answered
            that there is no cervical spine.

    Returns:
        Dict of numbers, NaN where the truth lacks the vertebra, in one list of keys for every
        patient: ``id``; ``anchored`` and ``certain``, 1 or 0; ``vertebrae`` and ``problems``,
        counts; ``identified_<name>``, 1 or 0, and ``distance_<name>`` in mm for C1..C7, NaN
        where no vertebra of that name is predicted; ``identified_mean``, the identification
        rate, and ``distance_mean``; the segmentation figures of `evaluate_case` over the whole
        scan, but HD95 and ASSD of the vertebrae with a label alone; and
        ``likely_identified_mean``, ``likely_distance_mean`` and ``likely_dice_mean``.
    """
    y_true = true_labels(case)
    found = () if result is None else result.findings.vertebrae
    written = np.zeros_like(y_true) if result is None else result.labels
    named = {each.name: each for each in found if each.name in _LABELS}
    likely = _by_likely_level(found)
    centroids_mm = _true_centroids_mm(case)
    identified, distance = _identification(centroids_mm, named)
    likely_identified, likely_distance = _identification(centroids_mm, likely)
    on_scan = dataclasses.replace(case, segmentation=y_true)
    figures = evaluate_case(on_scan, None, np.where(written <= len(VERTEBRAE), written, 0))
    figures |= _distances_of_found(figures, np.isin(list(_LABELS.values()), written))
    likely_dice = dice_per_class(y_true, _relabelled(written, found), len(VERTEBRAE) + 1)
    return {
        "id": case.id,
        "anchored": int(result is not None and result.findings.is_anchored),
        "certain": int(result is not None and result.findings.is_certain),
        "vertebrae": len(found),
        "problems": 0 if result is None else len(result.findings.reasons),
        **_columns("identified", identified),
        **_columns("distance", distance),
        **{key: figures[key] for key in figures if key not in ("id", *IMAGE_FIGURES)},
        "likely_identified_mean": _mean(likely_identified),
        "likely_distance_mean": _mean(likely_distance),
        "likely_dice_mean": _mean(likely_dice),
    }


def describe_case(case, result, reason=""):
    """Say what the tool found in a patient, for the record.

    Args:
        case: `xctrs_tf.data.dataset.Case`.
        result: as of `evaluate_levels`.
        reason: why there is no result.

    Returns:
        Dict of JSON values: ``id``, ``levels``, ``problems`` and ``vertebrae``, a list of
        name, likely level, confidence and centroid in LPS mm.
    """
    if result is None:
        return {"id": case.id, "levels": None, "problems": [reason], "vertebrae": []}
    return {
        "id": case.id,
        "levels": result.findings.levels,
        "problems": list(result.findings.reasons),
        "vertebrae": [
            {
                "name": each.name,
                "likely_level": each.likely_level,
                "confidence": round(float(each.confidence), 4),
                "centroid_mm": [round(float(value), 2) for value in each.centroid_mm],
            }
            for each in result.findings.vertebrae
        ],
    }


def level_grids(rows, dice_name="Dice"):
    """Lay out the figures of all patients.

    Args:
        rows: dicts of `evaluate_levels`, at least one.
        dice_name: name of the overlap, by what the labels are.

    Returns:
        List of two `TableGrid`: the whole, and a line for each vertebra. Cells have mean and
        standard deviation over the patients.
    """
    names = {"names as written": "", "likely levels": "likely_"}
    shown = {key: text for key, text in _SHOWN.items() if f"likely_{key}_mean" in rows[0]}
    lines = [
        [title, *(_cell(rows, f"{prefix}{key}_mean", key) for key in shown)]
        for title, prefix in names.items()
    ]
    count = len(rows)
    notes = [
        f"{count} patient{'s' if count > 1 else ''}; levels anchored in "
        f"{sum(row['anchored'] for row in rows)}, nothing to be checked in "
        f"{sum(row['certain'] for row in rows)}, no cervical spine found in "
        f"{sum(not row['vertebrae'] for row in rows)}; {sum(row['missed'] for row in rows)} "
        "vertebrae without a label of their name."
    ]
    if any(row["missed"] for row in rows):
        notes.append("Distances and HD95 are those of the vertebrae with a label of their name.")
    whole = TableGrid("", ["C1 to C7", *_headings(shown, dice_name)], lines, notes)
    per_vertebra = [
        [name, *(_cell(rows, f"{key}_{name}", key) for key in _SHOWN)] for name in VERTEBRAE
    ]
    return [whole, TableGrid("", ["names as written", *_headings(_SHOWN, dice_name)], per_vertebra)]


def level_lines(rows, dice_name="Dice"):
    """Return the figures of all patients for a CSV.

    Args:
        rows: dicts of `evaluate_levels`, at least one.
        dice_name: name of the overlap, by what the labels are.

    Returns:
        List of dicts, one for the mean, the mean of the likely levels, and each vertebra:
        ``level``, ``label_name``, and number, mean and standard deviation of each figure.
        Fractions are fractions; an empty cell does not exist.
    """
    keys = {"mean": "{}_mean", "likely mean": "likely_{}_mean"}
    keys |= {name: "{}_" + name for name in VERTEBRAE}
    lines = []
    for level, pattern in keys.items():
        line = {"level": level, "label_name": dice_name}
        for key in _SHOWN:
            values = _values(rows, pattern.format(key))
            mean, sd = mean_sd(values)
            line[f"{key}_n"] = int(np.count_nonzero(~np.isnan(values)))
            line |= {f"{key}_mean": _number(mean), f"{key}_sd": _number(sd)}
        lines.append(line)
    return lines


def _true_centroids_mm(case):
    """Return a dict from name to the LPS position of each true centroid."""
    return {
        name: np.add(case.origin_mm, case.spacing_mm * centroid(mask))
        for name, mask in vertebra_masks(case.segmentation).items()
    }


def _by_likely_level(vertebrae):
    """Return the surest vertebra of each likely level."""
    rising = sorted(vertebrae, key=lambda each: each.confidence)
    return {each.likely_level: each for each in rising if each.likely_level in _LABELS}


def _relabelled(labels, vertebrae):
    """Return written labels as those of the likely levels."""
    mapping = np.zeros(256, np.uint8)
    for each in vertebrae:
        mapping[each.label] = _LABELS.get(each.likely_level, 0)
    return mapping[labels]


def _identification(centroids_mm, predicted):
    """Return whether each of C1..C7 is identified, and how far off its centroid is in mm."""
    identified, distance = np.full((2, len(VERTEBRAE)), np.nan)
    for index, name in enumerate(VERTEBRAE):
        if name not in centroids_mm:
            continue
        identified[index] = 0
        if name in predicted:
            place = np.asarray(predicted[name].centroid_mm)
            away = {each: np.linalg.norm(place - true) for each, true in centroids_mm.items()}
            distance[index] = away[name]
            nearest = min(away, key=away.get)
            identified[index] = nearest == name and away[name] <= IDENTIFIED_MM
    return identified, distance


def _distances_of_found(figures, found):
    """Return HD95 and ASSD without those of absent labels, the diagonal of a scan of any size."""
    columns = {}
    for figure in ("hd95", "assd"):
        values = [figures[f"{figure}_{name}"] for name in VERTEBRAE]
        columns |= _columns(figure, np.where(found, values, np.nan))
    return columns


def _columns(figure, values):
    named = {
        f"{figure}_{name}": float(value) for name, value in zip(VERTEBRAE, values, strict=True)
    }
    return {**named, f"{figure}_mean": _mean(values)}


def _mean(values):
    return mean_sd(values)[0]


def _values(rows, key):
    return np.array([row.get(key, math.nan) for row in rows], np.float64)


def _cell(rows, key, figure):
    _, factor, digits = _SHOWN[figure]
    mean, sd = (factor * value for value in mean_sd(_values(rows, key)))
    return mean_text(mean, sd, digits, separator="\n")


def _headings(shown, dice_name):
    return [_SHOWN[key][0].format(dice_name=dice_name) for key in shown]


def _number(value):
    return "" if math.isnan(value) else f"{value:.6g}"
