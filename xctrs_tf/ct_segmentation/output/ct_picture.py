"""Picture of a segmented CT: three planes with the outlines and names of the vertebrae."""

import textwrap

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from xctrs_tf.ct_segmentation.output.scan_planes import outlines, spine_planes
from xctrs_tf.drawing.panels import (
    ON_IMAGE,
    draw_letters,
    draw_scale,
    hide_frame,
    save_figure,
)
from xctrs_tf.errors import one_line
from xctrs_tf.reconstruction.label_tables import label_color
from xctrs_tf.style import GREY, INK, LEVEL_HU, WIDTH_HU

PICTURE_NOTICE = (
    "The outlines were drawn by a neural network; check them. Research only. Not for diagnosis."
)
_WIDTH = 12.0  # inches
_MARGIN, _GAP, _HEADER, _FOOTER, _TITLE = 0.1, 0.08, 0.42, 0.38, 0.26
# Height of a line of the list, and mean width of its letters, in inches.
_LINE, _LETTER = 0.215, 0.075
# Where the columns of the list begin, in inches.
_COLUMNS = 0.45, 1.15, 2.0
# Edge in mm of the pixels in which outlines are drawn, and of the finest ones of the CT.
_PIXEL_MM = 0.5
_DPI = 140
# What lies outside of the scan.
_OUTSIDE = "#d9dde1"
_AMBER = "#b26a00"
_MOST_PROBLEM_LINES = 6


def write_picture(path, scan, labels, findings):
    """Draw three planes of a scan with the outlines and names of its vertebrae.

    All planes have one scale. A list beside them gives the volume and the confidence of each
    vertebra.

    Args:
        path: the PNG to write.
        scan: `Scan`.
        labels: uint8 ``[x, y, z]`` like ``scan.hu``.
        findings: `Findings` with a vertebra.
    """
    planes, shown = spine_planes(scan, findings)
    widths = np.array([plane.extent_mm[1] - plane.extent_mm[0] for plane in planes])
    heights = np.array([plane.extent_mm[3] - plane.extent_mm[2] for plane in planes])
    inch_mm = widths.sum() / (_WIDTH - 2 * _MARGIN - 2 * _GAP)
    lines = _lines(findings, int(widths[2] / inch_mm / _LETTER))
    beside = heights[2] / inch_mm + _TITLE + _LINE * (len(lines) + 0.5)
    height = max(*heights[:2] / inch_mm, beside) + _HEADER + _TITLE + _FOOTER
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    left, top = _MARGIN, height - _HEADER - _TITLE
    names = {vertebra.label: vertebra.name for vertebra in findings.vertebrae}
    for plane, width_mm, height_mm in zip(planes, widths, heights, strict=True):
        sides = (width_mm / inch_mm, height_mm / inch_mm)
        place = (left / _WIDTH, (top - sides[1]) / height, sides[0] / _WIDTH, sides[1] / height)
        axis = figure.add_axes(place)
        _draw_plane(axis, scan, labels, plane, names)
        title = f"Axial, {shown.name}" if plane.name == "axial" else plane.name.capitalize()
        axis.set_title(title, fontsize=10, color=GREY, pad=4)
        if plane.name != "axial":
            left += sides[0] + _GAP
    _write_lines(figure, lines, left / _WIDTH, top - heights[2] / inch_mm - 0.3)
    _write_frame(figure, findings)
    save_figure(figure, path, _DPI)


def _draw_plane(axis, scan, labels, plane, names):
    left, right, top, bottom = plane.extent_mm
    pixel_mm = float(np.clip(scan.grid.spacing_mm.min(), _PIXEL_MM, 2.5))
    hu = plane.sample(scan.hu, scan.grid, pixel_mm)
    extent = (left, right, bottom, top)
    axis.imshow(
        hu,
        cmap="gray",
        vmin=LEVEL_HU - WIDTH_HU / 2,
        vmax=LEVEL_HU + WIDTH_HU / 2,
        extent=extent,
        interpolation="bicubic" if pixel_mm > 1 else "antialiased",
    )
    outside = plane.outside(scan.grid, _PIXEL_MM)
    if outside.any():
        veil = np.zeros((*outside.shape, 4))
        veil[outside] = to_rgba(_OUTSIDE)
        axis.imshow(veil, extent=extent, interpolation="nearest")
    columns, rows = plane.pixels_mm(_PIXEL_MM)
    for label, cover in outlines(labels, scan.grid, plane, _PIXEL_MM):
        color = label_color(label)
        axis.contour(columns, rows, cover, levels=[0.5], colors=[color], linewidths=1.4)
        if plane.name != "axial":
            _write_name(axis, plane, names[label], color, cover > 0.5, columns, rows)
    axis.set(xlim=(left, right), ylim=(bottom, top))
    draw_letters(axis, plane.name)
    draw_scale(axis, 1.0)
    hide_frame(axis)


def _write_name(axis, plane, name, color, mask, columns, rows):
    """Write a name before the body of a vertebra, or on its left side in the coronal plane."""
    down, across = np.nonzero(mask)
    is_sagittal = plane.name == "sagittal"
    end = across.min() if is_sagittal else across.max()
    # The height of that end, and not of the whole, which may slope.
    near = np.abs(across - end) * _PIXEL_MM < 8.0
    axis.text(
        columns[end] + (-2.5 if is_sagittal else 2.5),
        rows[down[near]].mean(),
        name,
        ha="right" if is_sagittal else "left",
        va="center",
        fontsize=11 if is_sagittal else 9,
        weight="bold",
        clip_on=True,
        **{**ON_IMAGE, "color": color},
    )


def _lines(findings, letters):
    """Return what is written beside the planes: lists of cells or texts, with their colours."""
    lines = [(("", "volume", "confidence"), GREY)]
    for vertebra in findings.vertebrae:
        marks = [f"like {vertebra.likely_level}"] * (vertebra.name != vertebra.likely_level)
        marks += ["cut"] * vertebra.cut + ["check"] * bool(vertebra.problems)
        volume = f"{vertebra.volume_mm3 / 1000:.1f} cm³"
        cells = (vertebra.name, volume, f"{vertebra.confidence:.2f}", ", ".join(marks))
        lines.append((cells, label_color(vertebra.label)))
    problems = [f"not found: {', '.join(findings.missing)}"] * bool(findings.missing)
    problems += findings.problems
    problems += [f"{each.name}: {text}" for each in findings.vertebrae for text in each.problems]
    texts = [line for problem in problems for line in textwrap.wrap(one_line(problem), letters)]
    if len(texts) > _MOST_PROBLEM_LINES:
        texts = [*texts[: _MOST_PROBLEM_LINES - 1], "more in segmentation.json"]
    return lines + [(text, _AMBER) for text in texts]


def _write_lines(figure, lines, left, top):
    """Write lines of cells or text from a height in inches downwards."""
    height = figure.get_figheight()
    for number, (cells, color) in enumerate(lines):
        style = {"y": (top - number * _LINE) / height, "fontsize": 9, "va": "center"}
        if isinstance(cells, str):
            figure.text(left, s=cells, color=color, **style)
            continue
        name, *values = cells
        figure.text(left, s=name, color=color, weight="bold", **style)
        for value, start in zip(values, _COLUMNS, strict=False):
            ink = GREY if number == 0 else INK
            figure.text(left + start / _WIDTH, s=value, color=ink, **style)


def _write_frame(figure, findings):
    height = figure.get_figheight()
    names = [vertebra.name for vertebra in findings.vertebrae]
    found = f"{names[0]} to {names[-1]}" if len(names) > 1 else names[0]
    heading = {"fontsize": 13, "weight": "bold", "va": "center", "y": 1 - 0.26 / height}
    figure.text(_MARGIN / _WIDTH, s=f"{found} in the CT", color=INK, **heading)
    color = INK if findings.is_certain else _AMBER
    levels = {**heading, "fontsize": 11, "ha": "right"}
    figure.text(1 - _MARGIN / _WIDTH, s=_state(findings), color=color, **levels)
    window = (
        f"CT from {LEVEL_HU - WIDTH_HU // 2} (black) to {LEVEL_HU + WIDTH_HU // 2} HU (white). "
        "A anterior, R the patient's right, S superior."
    )
    foot = {"fontsize": 8, "va": "center", "y": 0.18 / height}
    figure.text(_MARGIN / _WIDTH, s=PICTURE_NOTICE, color=INK, **foot)
    figure.text(1 - _MARGIN / _WIDTH, s=window, color=GREY, ha="right", **foot)


def _state(findings):
    levels = findings.levels
    text = levels if levels.startswith("levels") else f"levels {levels}"
    return text if findings.is_certain else f"{text}; check the result"
