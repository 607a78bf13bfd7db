"""Contact sheet of a prepared data folder: pictures and numbers for inspection."""

import html
import json
import shlex

import numpy as np
from matplotlib.figure import Figure

from xctrs_tf.data.dataset.cohort_statistics import (
    OUTLIER_Z,
    find_outliers,
    histogram,
    labels_of,
    measure_case,
)
from xctrs_tf.data.dataset.manifest import CHECK, MODEL_MADE, are_model_made
from xctrs_tf.data.dataset.sanity import check_direction, check_levels
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.volumes.intensity import WINDOW_HU, normalise_hu
from xctrs_tf.drawing.panels import PANEL, draw_legend, draw_patient, save_figure
from xctrs_tf.files import atomic_path, write_json, write_text
from xctrs_tf.geometry import VIEWS
from xctrs_tf.style import GREY, INK

_DPI = 80
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; margin: 2rem auto; max-width: 56rem;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
p { color: #4a5058; } img { width: 100%; display: block; }
section { border-top: 1px solid #d8dce1; padding: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: .85rem; }
td, th { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid #e8ebee; }
td:first-child, th:first-child, td.words { text-align: left; }
.scroll { overflow-x: auto; } .odd { background: #ffe3d5; }
"""


def check_dataset(dataset, watch=iter):
    """Draw every patient of a data folder and find those that are outliers.

    Writes ``check/index.html``, one PNG per patient beside it, ``histogram.png`` and
    ``statistics.json``.

    Args:
        dataset: a `xctrs_tf.data.dataset.Dataset`.
        watch: called with the list of ids; what it returns is iterated.

    Returns:
        Path of the index, and a line of text for each contradiction of a header, each patient
        whose labels are perhaps one level off, and each outlier.
    """
    measures, counts, faults = {}, 0, []
    with atomic_path(dataset.path / CHECK) as folder:
        folder.mkdir()
        for patient in watch(dataset.ids):
            case = dataset.load(patient)
            measures[patient] = measure_case(case)
            counts = counts + histogram(case)
            if fault := check_direction(labels_of(case)):
                words, correction = fault
                flag = f"--header={shlex.quote(f'{patient}:{correction}')}"
                faults.append(f"{patient}: {words}; prepare it with {flag}")
            elif fault := check_levels(labels_of(case)):
                faults.append(f"{patient}: {fault}")
            patient_figure(folder / f"{patient}.png", case, _mark(dataset))
        outliers = find_outliers(measures)
        _histogram_figure(folder / "histogram.png", counts)
        statistics = {"histogram": counts.tolist(), "patients": measures}
        write_json(folder / "statistics.json", statistics)
        to_look_at = faults + [_line(*outlier) for outlier in outliers]
        write_text(folder / "index.html", _page(dataset, measures, outliers, to_look_at))
    return dataset.path / CHECK / "index.html", to_look_at


def patient_figure(path, case, mark=""):
    """Draw a patient's films and three planes of the CT with the outlines of the labels.

    Args:
        path: the PNG to write.
        case: a `Case`.
        mark: what is to be known of the labels, or empty.
    """
    figure = Figure(figsize=(5 * PANEL, PANEL + 0.55), facecolor="white")
    grid = figure.add_gridspec(1, 5, left=0.008, right=0.992, bottom=0.1, top=0.88, wspace=0.035)
    axes = [figure.add_subplot(cell) for cell in grid]
    films = {view: normalise_film(getattr(case, view)) for view in VIEWS}
    draw_patient(axes, films, normalise_hu(case.ct), case.segmentation)
    text = f"{case.id}     {case.ct.shape[0]}³ voxels of {case.spacing_mm:.2f} mm"
    text += f"     {mark}" if mark else ""
    figure.text(0.008, 0.04, text, fontsize=9, color=INK, va="center")
    draw_legend(figure, right=0.992, y=0.04)
    save_figure(figure, path, dpi=_DPI)


def _mark(dataset):
    return f"{MODEL_MADE} labels" if are_model_made(dataset.label_name) else ""


def _sentence(dataset):
    """Return what the page says of labels that a network made."""
    made = {each["labels"] for each in dataset.sources() if "labels" in each}
    words = f" Labels: {', '.join(sorted(made)) or MODEL_MADE}; no expert checked them."
    return html.escape(words) if are_model_made(dataset.label_name) else ""


def _histogram_figure(path, counts):
    figure = Figure(figsize=(5 * PANEL, 2.4), facecolor="white", layout="constrained")
    axis = figure.add_subplot()
    edges = np.linspace(*WINDOW_HU, len(counts) + 1)
    axis.stairs(counts / counts.sum() * 100, edges, fill=True, color="#5b7fa6")
    axis.set_yscale("log")
    axis.set_xlabel("CT number (HU); what lies beyond is in the outer bins", color=GREY)
    axis.set_ylabel("voxels (%)", color=GREY)
    axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path, dpi=_DPI)


def _page(dataset, measures, outliers, to_look_at):
    manifest = dataset.manifest
    rejected = manifest.get("rejected", [])
    odd = {(patient, name) for patient, name, *_ in outliers}
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in to_look_at)
    refused = "".join(
        f'<tr><td>{html.escape(scan["id"])}</td><td class="words">{html.escape(scan["reason"])}'
        "</td></tr>"
        for scan in rejected
    )
    pictures = "".join(
        f'<section id="{html.escape(patient)}"><img loading="lazy" alt="{html.escape(patient)}" '
        f'src="{html.escape(patient)}.png"></section>'
        for patient in dataset.ids
    )
    folds = " + ".join(str(len(fold)) for fold in manifest["folds"])
    return f"""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(dataset.path.name)}</title>
<style>{_STYLE}</style>
<h1>{html.escape(dataset.path.resolve().name)}</h1>
<p>{len(dataset.ids)} patients of {dataset.size}³ voxels, in folds of {folds}; {len(rejected)}
rejected. Films: {html.escape(json.dumps(manifest.get("projection")))}. Content hash
{dataset.content_hash()[:16]}.{_sentence(dataset)}</p>
<h2>To look at</h2>
<p>Scans that contradict their header, labels that are perhaps one level off, and measures further
from the median than {OUTLIER_Z} robust standard deviations.</p>
<ul>{lines or "<li>nothing</li>"}</ul>
<h2>CT numbers of all patients</h2>
<img alt="histogram" src="histogram.png">
<h2>Measures</h2>
<div class="scroll"><table>{_table(measures, odd)}</table></div>
<h2>Rejected scans</h2>
<div class="scroll"><table>{refused or "<tr><td>none</td></tr>"}</table></div>
<h2>Patients</h2>
{pictures}
</html>
"""


def _table(measures, odd):
    names = list(next(iter(measures.values())))
    heading = "".join(f"<th>{html.escape(name)}</th>" for name in ("patient", *names))
    rows = [f"<tr>{heading}</tr>"]
    for patient, values in measures.items():
        cells = "".join(
            f'<td class="odd">{values[name]:.1f}</td>'
            if (patient, name) in odd
            else f"<td>{values[name]:.1f}</td>"
            for name in names
        )
        link = f'<a href="#{html.escape(patient)}">{html.escape(patient)}</a>'
        rows.append(f"<tr><td>{link}</td>{cells}</tr>")
    return "\n".join(rows)


def _line(patient, name, value, median, z):
    return f"{patient}: {name} {value:.1f}, median {median:.1f} (robust z {z:.1f})"
