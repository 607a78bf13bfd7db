"""All methods side by side on the same patients, as the paper's Fig. 6 and 7."""

import dataclasses
import textwrap

import numpy as np
from matplotlib.figure import Figure

from xctrs_tf.data.dataset import Case
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.drawing.panels import (
    PLANES,
    centre_of,
    draw_plane,
    hide_frame,
    save_figure,
)
from xctrs_tf.evaluation.figures.surface_rendering import (
    LATERAL,
    POSTERIOR_OBLIQUE,
    fitted_frame,
    render_surface,
)
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.style import FIGURE_NOTICE, GREY, INK, LEVEL_HU, VERTEBRA_COLORS, WIDTH_HU

TRUTH = "Ground truth"
# Inches.
_PANEL = 1.45
_GAP = 0.05
_LEFT = 0.3
_TOP = 0.22
_ABOVE = 0.5
_LINE = 0.125
_LETTERS_PER_INCH = 18
_PIXELS = 300
_SURFACE_VIEWS = {"from the left": LATERAL, "from behind left": POSTERIOR_OBLIQUE}


@dataclasses.dataclass(frozen=True)
class PatientPredictions:
    """One patient and the prediction of each method.

    Attributes:
        case: `Case` with the ground truth.
        predictions: dict from a method's name to its `Prediction`.
        scores: dict from a method's name to a line below its name.
    """

    case: Case
    predictions: dict
    scores: dict


def reconstructions_figure(path, patients):
    """Draw three planes of the CT and of every method's reconstruction.

    Args:
        path: the PNG to write.
        patients: list of `PatientPredictions`, all of the same methods; every
            prediction has a CT.

    Ge et al. (2022), Fig. 6.
    """
    columns = [TRUTH, *patients[0].predictions]
    note = f"{FIGURE_NOTICE} Bone window (level {LEVEL_HU}, width {WIDTH_HU} HU)."
    figure, axes = _page(len(columns), len(PLANES), len(patients), note)
    for patient, block in zip(patients, axes, strict=True):
        centre = centre_of(patient.case.segmentation)
        unlabelled = np.zeros_like(patient.case.segmentation)
        volumes = [patient.case.ct, *(each.ct for each in patient.predictions.values())]
        for line, plane in zip(block, PLANES, strict=True):
            for axis, hu in zip(line, volumes, strict=True):
                draw_plane(axis, normalise_hu(hu), unlabelled, plane, centre)
            line[0].set_ylabel(plane, fontsize=9, color=GREY)
        _name(block, patient, columns)
    save_figure(figure, path)


def surfaces_figure(path, patients):
    """Draw the vertebrae of every method's segmentation as solid bodies.

    Args:
        path: the PNG to write.
        patients: list of `PatientPredictions`, all of the same methods; every
            prediction has a segmentation.

    Ge et al. (2022), Fig. 7.
    """
    columns = [TRUTH, *patients[0].predictions]
    figure, axes = _page(len(columns), len(_SURFACE_VIEWS), len(patients), FIGURE_NOTICE)
    for patient, block in zip(patients, axes, strict=True):
        frame = fitted_frame(patient.case.segmentation)
        labels = [
            patient.case.segmentation,
            *(each.segmentation for each in patient.predictions.values()),
        ]
        for line, (name, view) in zip(block, _SURFACE_VIEWS.items(), strict=True):
            for axis, segmentation in zip(line, labels, strict=True):
                axis.imshow(render_surface(segmentation, view, frame, _PIXELS))
            line[0].set_ylabel(name, fontsize=9, color=GREY)
        _name(block, patient, columns)
    _draw_vertebra_names(figure)
    save_figure(figure, path)


def _page(columns, rows, num_patients, note):
    """Return a figure with a note below, and its axes `[patient][row][column]`."""
    width = _LEFT + _PANEL * columns + _GAP
    lines = textwrap.wrap(note, int(_LETTERS_PER_INCH * width))
    below = 0.12 + _LINE * len(lines)
    block = _ABOVE + _PANEL * rows
    height = _TOP + block * num_patients + below
    figure = Figure(figsize=(width, height), facecolor="white")
    style = {"fontsize": 7, "color": GREY, "va": "bottom"}
    figure.text(_GAP / width, _GAP / height, "\n".join(lines), **style)

    def panel(patient, row, column):
        left = _LEFT + _PANEL * column
        bottom = height - _TOP - block * patient - _ABOVE - _PANEL * (row + 1)
        edge = _PANEL - _GAP
        axis = figure.add_axes((left / width, bottom / height, edge / width, edge / height))
        hide_frame(axis)
        return axis

    axes = [
        [[panel(patient, row, column) for column in range(columns)] for row in range(rows)]
        for patient in range(num_patients)
    ]
    return figure, axes


def _draw_vertebra_names(figure):
    """Write the vertebrae's names in their colours, on the upper left."""
    width, height = figure.get_size_inches()
    for number, (name, color) in enumerate(zip(VERTEBRAE, VERTEBRA_COLORS, strict=True)):
        place = (_LEFT + 0.24 * number) / width, 1 - 0.13 / height
        figure.text(*place, name, fontsize=8, weight="bold", color=color, va="center")


def _name(block, patient, columns):
    """Write methods and their scores above a patient's block of axes."""
    for axis, name in zip(block[0], columns, strict=True):
        score = patient.scores.get(name, f"patient {patient.case.id}" if name == TRUTH else "")
        # A long name is broken at its first plus sign.
        title = name.replace(" + ", " +\n", 1) if len(name) > 16 else name
        axis.set_title(f"{title}\n{score}", fontsize=8, color=INK, pad=3)
