"""Report of a reconstruction: report.html, report.json and C1.stl .. C7.stl."""

import dataclasses
import pathlib

from xctrs_tf.files import write_json, write_text
from xctrs_tf.quality.verdict import assess
from xctrs_tf.report.measures import measure_spine
from xctrs_tf.report.meshes import write_meshes
from xctrs_tf.report.page import render_page
from xctrs_tf.report.provenance_record import provenance_record
from xctrs_tf.report.training_summary import compare_films, training_lines
from xctrs_tf.style import NOTICE

REPORT_FORMAT = "xctrs-report/2"
PAGE_FILE, REPORT_FILE = "report.html", "report.json"


def write_report(folder, reconstruction, films):
    """Write report.html, report.json and C1.stl .. C7.stl.

    Args:
        folder: an existing folder.
        reconstruction: `xctrs_tf.reconstruction.Reconstruction`. ``quality`` of its metadata is
            a dict of `calibration.calibrate`; without it no verdict is better than ``"review"``.
        films: dict of ``ap`` and ``la``, its films in [0, 1].

    Returns:
        `quality.verdict.Verdict`.

    Raises:
        UserError: the quality reference is of another format.
    """
    folder = pathlib.Path(folder)
    ct_hu, labels = reconstruction.ct_hu, reconstruction.segmentation
    spacing_mm, origin_mm = reconstruction.spacing_mm, reconstruction.origin_mm
    known, pair = reconstruction.metadata or {}, reconstruction.pair
    judged_by = known.get("quality"), known.get("film_normalization")
    # The frames as they were used tell whether the boxes' widths counted.
    opened = pair and {
        view: dataclasses.replace(each, frame=pair.frames[view])
        for view, each in pair.opened.items()
    }
    verdict = assess(films, ct_hu, labels, spacing_mm, *judged_by, opened)
    meshes = {} if labels is None else write_meshes(folder, labels, spacing_mm, origin_mm)
    record = make_record(reconstruction, verdict)
    write_json(folder / REPORT_FILE, record, allow_nan=False)
    write_text(
        folder / PAGE_FILE, render_page(record, films, verdict.errors, ct_hu, labels, meshes)
    )
    return verdict


def make_record(reconstruction, verdict):
    """Return the contents of report.json.

    Args:
        reconstruction: `Reconstruction`.
        verdict: its `quality.verdict.Verdict`.

    Returns:
        Dict of JSON values.
    """
    grid = (reconstruction.spacing_mm, reconstruction.origin_mm)
    return {
        "format": REPORT_FORMAT,
        "notice": NOTICE,
        "spacing_mm": float(reconstruction.spacing_mm),
        "origin_mm": [float(value) for value in reconstruction.origin_mm],
        **provenance_record(reconstruction, verdict),
        # A line for each model.
        "training": "\n".join(training_lines(reconstruction.metadata, reconstruction.models)),
        "films_like_training": compare_films(verdict),
        "quality": {
            "verdict": verdict.level,
            "findings": [dataclasses.asdict(finding) for finding in verdict.findings],
            "scores": verdict.scores,
        },
        "measures": _plain_measures(reconstruction.segmentation, *grid),
        "uncertainty": reconstruction.uncertainty,
    }


def _plain_measures(labels, spacing_mm, origin_mm):
    if labels is None:
        return {"vertebrae": {}, "column": {}}
    measures = measure_spine(labels, spacing_mm, origin_mm)
    return {
        "vertebrae": {
            name: {quantity: dataclasses.asdict(m) for quantity, m in quantities.items()}
            for name, quantities in measures["vertebrae"].items()
        },
        "column": {name: dataclasses.asdict(m) for name, m in measures["column"].items()},
    }
