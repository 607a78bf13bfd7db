"""HTML page of a report: one file without network access, from the template in assets/."""

import html
import importlib.resources
import json

from xctrs_tf.geometry import VIEWS
from xctrs_tf.report.page_data import (
    FULL_ERROR,
    css_color,
    error_picture,
    film_picture,
    viewer_data,
)
from xctrs_tf.report.provenance_record import film_lines, model_title, overridden_checks
from xctrs_tf.style import LEVEL_HU, WIDTH_HU

SCRIPTS = ("data.js", "planes.js", "surface.js", "report.js")
STYLE, TEMPLATE = "report.css", "report.html"
UNITS = {"mm": "mm", "mm3": "mm³", "degrees": "°"}
COLUMN_NAMES = {
    "cobb_c2_c7": "Cobb angle C2–C7 (lordosis positive)",
    "atlantodental_interval": "Atlanto-dental interval",
}
HEADINGS = {"pass": "Pass", "review": "Review", "fail": "Fail"}
VIEW_NAMES = {"ap": "AP film", "la": "Lateral film"}


def render_page(record, films, errors, ct_hu, labels, meshes):
    """Render the page of one reconstruction.

    Args:
        record: dict of report.json (`report.make_record`).
        films: dict of ``ap`` and ``la``.
        errors: by view, re-projection less film.
        ct_hu: CT numbers ``[x, y, z]``.
        labels: integers ``[x, y, z]``, or None.
        meshes: dict from vertebra to `meshes.Mesh`.

    Returns:
        str, HTML without references to other files.
    """
    parts = {
        "style": _asset(STYLE),
        "script": "\n".join(_asset(name) for name in SCRIPTS),
        "data": _json(viewer_data(ct_hu, labels, meshes, record["spacing_mm"])),
        "notice": html.escape(record["notice"]),
        "training": _training(record),
        "verdict": _verdict(record["quality"]),
        "origin": _origin(record),
        "grid": _grid(ct_hu.shape, record["spacing_mm"]),
        "films": "".join(_film(view, films[view], errors[view]) for view in VIEWS),
        "legend": _legend(meshes),
        "measures": _measures(record["measures"]),
        "uncertainty": _uncertainty(record.get("uncertainty")),
    }
    page = _asset(TEMPLATE)
    for name, text in parts.items():
        page = page.replace(f"<!--{name}-->", text)
    return page


def _asset(name):
    return (importlib.resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _json(data):
    # "</script>" inside a string would end the element.
    return json.dumps(data).replace("</", "<\\/")


def _grid(shape, spacing_mm):
    sides = " × ".join(map(str, shape))
    low, high = LEVEL_HU - WIDTH_HU / 2, LEVEL_HU + WIDTH_HU / 2
    window = f"{low:.0f} to {high:.0f} HU".replace("-", "−")
    return f"{sides} voxels of {spacing_mm:g} mm; black to white is {window}."


def _training(record):
    alike = record["films_like_training"]
    marks = {True: "Yes.", False: "No.", None: "Not known."}
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in record["training"].split("\n"))
    differences = "; ".join(alike["differences"])
    more = {True: "", False: f"{differences}.", None: "The model was not calibrated."}
    return (
        f"{lines}<p>Do these films look like the training films? <b>{marks[alike['alike']]}</b> "
        f"{html.escape(more[alike['alike']])}</p>"
    )


def _origin(record):
    rows = [
        ("Model", [_identity(model) for model in record["models"]] or ["not known"]),
        *((VIEW_NAMES[view], [line]) for view, line in film_lines(record["films"]).items()),
        ("Checks not made", overridden_checks(record) or ["none"]),
        ("Mirrored", ["mean of the films and of the mirrored films" if record["mirror"] else "no"]),
        ("Made by", [f"{record['program']}, {record['date'] or 'at an unknown time'}"]),
    ]
    body = "".join(
        f'<tr><th scope="row">{name}</th><td>{"<br>".join(map(html.escape, lines))}</td></tr>'
        for name, lines in rows
    )
    return f'<table class="origin"><tbody>{body}</tbody></table>'


def _identity(model):
    hashed = f", sha256 {model['sha256']}" if model["sha256"] else ""
    return model_title(model) + hashed


def _verdict(quality):
    level = quality["verdict"]
    reasons = "".join(
        f'<li class="{f["level"]}"><b>{HEADINGS[f["level"]]}:</b> {html.escape(f["reason"])}</li>'
        for f in quality["findings"]
    )
    reasons = f"<ul>{reasons}</ul>" if reasons else "<p>No check found anything unusual.</p>"
    return f'<p class="level {level}">{HEADINGS[level]}</p>{reasons}'


def _film(view, film, error):
    name = VIEW_NAMES[view]
    left, right = ("R", "L") if view == "ap" else ("A", "P")
    return (
        f'<figure class="film"><div class="pictures"><div class="picture">'
        f'<img src="{film_picture(film, view)}" alt="{name} as it was reconstructed">'
        f'<span class="left">{left}</span><span class="right">{right}</span></div>'
        f'<div class="picture"><img src="{error_picture(error, view)}" '
        f'alt="Error map of the {name}: re-projection less film"></div></div>'
        f"<figcaption>{name}, and its error map: red where the reconstruction’s own film is "
        f"brighter, blue where it is darker; full colour is {100 * FULL_ERROR:.0f} % of the film’s "
        f"range</figcaption></figure>"
    )


def _legend(meshes):
    return "".join(
        f'<label><input type="checkbox" checked data-vertebra="{name}">'
        f'<span class="swatch" style="background:{css_color(name)}"></span>{name}</label>'
        for name in meshes
    )


def _measures(measures):
    rows = "".join(
        f'<tr><th scope="row">{name}</th>{_cell(m["volume"], 0)}{_cell(m["body_height"], 1)}'
        f"{_cell(m['centroid'], 1)}</tr>"
        for name, m in measures["vertebrae"].items()
    )
    column = "".join(
        f'<tr><th scope="row">{_column_name(name)}</th>{_cell(m, 1)}</tr>'
        for name, m in measures["column"].items()
    )
    return (
        '<div class="tables"><table><caption>Vertebrae</caption><thead><tr><td></td>'
        '<th scope="col">Volume</th><th scope="col">Body height</th>'
        '<th scope="col">Centroid (left, posterior, superior)</th></tr></thead>'
        f"<tbody>{rows}</tbody></table><table><caption>Column</caption>"
        f"<tbody>{column}</tbody></table></div>{_reasons(measures)}"
    )


def _column_name(name):
    return COLUMN_NAMES.get(name) or f"Distance of centroids {name.replace('-', '–')}"


def _cell(measure, digits):
    value = measure["value"]
    if value is None:
        return '<td class="none">not available</td>'
    values = value if isinstance(value, list | tuple) else [value]
    unit = UNITS[measure["unit"]]
    text = ", ".join(f"{v:.{digits}f}" for v in values).replace("-", "−")
    return f"<td>{text}{'' if unit == '°' else ' '}{unit}</td>"


def _reasons(measures):
    """Return a line for each measure that has a reason: absent, or to be read with caution."""
    named = {
        f"{vertebra}, {quantity.replace('_', ' ')}": m
        for vertebra, quantities in measures["vertebrae"].items()
        for quantity, m in quantities.items()
    } | {_column_name(name): m for name, m in measures["column"].items()}
    lines = [
        f"<li>{html.escape(name)}: {html.escape(m['reason'])}.</li>"
        for name, m in named.items()
        if m["reason"]
    ]
    return f'<ul class="notes">{"".join(lines)}</ul>' if lines else ""


def _uncertainty(summary):
    if not summary:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{_number(row["spread_hu"], 0)} HU</td>'
        f"<td>{_number(100 * row['agreement'] if row['agreement'] is not None else None, 0)} %</td>"
        f"<td>{row['volume_mm3']:.0f} ± {row['volume_deviation_mm3']:.0f} mm³</td></tr>"
        for name, row in summary.items()
    )
    return (
        '<section aria-labelledby="h-spread"><h2 id="h-spread">Between the models</h2><table>'
        '<thead><tr><td></td><th scope="col">Spread of CT numbers</th><th scope="col">'
        'Models that alone give the label</th><th scope="col">Volume</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _number(value, digits):
    return "–" if value is None else f"{value:.{digits}f}"
