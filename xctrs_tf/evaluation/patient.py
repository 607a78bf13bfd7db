"""The figures of one patient, and the table of all patients on disk."""

import dataclasses
import math
import pathlib
import statistics

import numpy as np

from xctrs_tf.data.dataset.manifest import LABELS_FIELD, MODEL_MADE, are_model_made
from xctrs_tf.data.volumes.intensity import WINDOW_HU, normalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path, read_csv, write_csv, write_json
from xctrs_tf.geometry import NUM_CLASSES, VERTEBRAE
from xctrs_tf.metrics import PROTOCOLS, dice_per_class, surface_per_class

DICE_KEYS = tuple(f"dice_{name}" for name in VERTEBRAE)
IMAGE_FIGURES = ("psnr", "ssim", "ssim_3d", "mae_hu", "mae_bone_hu")
# One a vertebra, and their mean.
SEGMENTATION_FIGURES = ("dice", "hd95", "assd", "nsd")
# Columns of a CSV of patients that are no figures: ``labels`` is there where a network made them.
TEXT_COLUMNS = ("id", LABELS_FIELD)


def evaluate_case(case, ct_pred, labels_pred):
    """Compare a reconstruction and its segmentation with the patient's CT.

    Intensities are compared inside the HU window of the networks, under the protocol
    `xctrs`.

    Args:
        case: `xctrs_tf.data.dataset.Case` with the ground truth.
        ct_pred: reconstruction in [0, 1], `[x, y, z]`; None if the run
            reconstructs none: then its figures are NaN.
        labels_pred: integer labels `[x, y, z]`, 0..7; None if the run does not
            segment: then its figures are NaN.

    Returns:
        dict of `id`, `psnr` (dB), `ssim`, `ssim_3d`, `mae_hu`, `mae_bone_hu` (in
        the vertebrae of the ground truth; NaN if it has none), `dice_C1` to
        `dice_C7` and `dice_mean` (fractions), the same of `hd95` and `assd`
        (mm) and of `nsd` (fraction), and `missed`: number of vertebrae of the
        ground truth that were not predicted. A figure is NaN where the ground
        truth lacks the vertebra, which the mean leaves out.
    """
    return {
        "id": case.id,
        **_image_figures(case, ct_pred),
        **_segmentation_figures(case, labels_pred),
    }


def evaluate_protocols(case, ct_pred):
    """Compare a reconstruction with the patient's CT under every protocol.

    Args:
        case: `xctrs_tf.data.dataset.Case` with the ground truth.
        ct_pred: reconstruction in [0, 1], `[x, y, z]`.

    Returns:
        dict of `id` and `<protocol>_<figure>`, such as `x2ct_psnr`.
    """
    ct_true = normalise_hu(case.ct)
    row = {"id": case.id}
    for name, protocol in PROTOCOLS.items():
        figures = protocol(ct_true, ct_pred, WINDOW_HU)
        row |= {f"{name}_{figure}": value for figure, value in figures.items()}
    return row


def write_cases_csv(path, rows, provenance):
    """Write one line per patient, and their provenance beside the CSV.

    A value that does not exist (NaN) is an empty cell. Where a network made the labels that the
    figures compare with, as the ``dice_name`` of the provenance says, a column says so.

    Args:
        path: the CSV; the provenance gets the same name with `.json`.
        rows: dicts of `evaluate_case`, at least one.
        provenance: dict of `xctrs_tf.provenance.collect`.
    """
    path = pathlib.Path(path)
    if are_model_made(provenance.get("dice_name", "")):
        rows = [{**row, LABELS_FIELD: MODEL_MADE} for row in rows]
    # Without it the CSV does not count: a kill in between leaves no wrong provenance.
    path.with_suffix(".json").unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        write_csv(temporary, [{key: _cell(value) for key, value in row.items()} for row in rows])
    write_json(path.with_suffix(".json"), provenance, indent=2)


def mean_figures(rows):
    """Return the mean of each figure of patients.

    Args:
        rows: lines of a CSV of `write_cases_csv`, dicts of strings, at least one.

    Returns:
        Dict from figure to the mean of the patients that have it; None where none has.
    """
    names = [name for name in rows[0] if name not in TEXT_COLUMNS]
    values = {name: [float(row[name]) for row in rows if row[name]] for name in names}
    return {name: statistics.fmean(each) if each else None for name, each in values.items()}


def check_evaluation_folder(folder, names, is_evaluation):
    """Refuse an output folder in which an evaluation would replace files of other people.

    Args:
        folder: `pathlib.Path`; it need not exist.
        names: of the files that an evaluation replaces.
        is_evaluation: whether the folder holds an earlier evaluation, whose files they are.

    Raises:
        UserError: such a file is there; the message names it.
    """
    taken = [name for name in names if (folder / name).exists()]
    if taken and not is_evaluation:
        raise UserError(
            f"--output={folder}: {taken[0]} in it is not of a whole evaluation, and would be "
            "replaced; name another folder, or move the file away"
        )


def read_cases_csv(path):
    """Read a CSV with one line per patient.

    Args:
        path: the CSV.

    Returns:
        List of dicts of strings, at least one: ``id``, perhaps ``fold``, ``seed`` and
        ``labels``, and figures, which are numbers or empty.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged.
    """
    lines = read_csv(path)
    if not lines or "id" not in lines[0]:
        raise ValueError("no patients")
    for line in lines:
        for name, cell in line.items():
            if cell and name not in TEXT_COLUMNS:
                float(cell)
    return lines


def _image_figures(case, ct_pred):
    if ct_pred is None:
        return dict.fromkeys(IMAGE_FIGURES, math.nan)
    ct_true = normalise_hu(case.ct)
    error_hu = np.abs(np.asarray(ct_pred, np.float64) - ct_true) * (WINDOW_HU[1] - WINDOW_HU[0])
    bone = case.segmentation > 0
    return {
        **PROTOCOLS["xctrs"](ct_true, ct_pred, WINDOW_HU),
        "mae_hu": float(error_hu.mean()),
        "mae_bone_hu": float(error_hu[bone].mean()) if bone.any() else math.nan,
    }


def _segmentation_figures(case, labels_pred):
    if labels_pred is None:
        columns = dict.fromkeys(SEGMENTATION_FIGURES, np.full(len(VERTEBRAE), np.nan))
        missed = math.nan
    else:
        surface = surface_per_class(case.segmentation, labels_pred, NUM_CLASSES, case.spacing_mm)
        dice = dice_per_class(case.segmentation, labels_pred, NUM_CLASSES)
        columns = {"dice": dice, **dataclasses.asdict(surface)}
        predicted = np.isin(np.arange(1, NUM_CLASSES), labels_pred)
        missed = int(np.count_nonzero(~np.isnan(dice) & ~predicted))
    row = {}
    for figure, values in columns.items():
        row |= {f"{figure}_{name}": float(v) for name, v in zip(VERTEBRAE, values, strict=True)}
        row[f"{figure}_mean"] = _mean_of_present(values)
    return {**row, "missed": missed}


def _mean_of_present(values):
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else math.nan


def _cell(value):
    if isinstance(value, (str, int)):
        return value
    return "" if math.isnan(value) else f"{value:.6f}"
