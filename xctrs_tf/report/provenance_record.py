"""Record of what made a result: program, date, models with their training, films and checks.

It is part of report.json and reconstruction.json; report.html and the DICOM files show it.
"""

import itertools
import sys

from xctrs_tf import __version__
from xctrs_tf.data.films.film_normalisation import FIRST_FILM_NORMALIZATION
from xctrs_tf.errors import one_line
from xctrs_tf.files import as_dict, as_list
from xctrs_tf.geometry import VIEWS

PROGRAM = f"xctrs_tf {__version__}"
# Figures of a model's own test patients: field of its metadata, and text.
_FIGURES = (("psnr", "PSNR {:.1f} dB"), ("ssim", "SSIM {:.2f}"))


def model_record(name, metadata, version=None, sha256=None, server=None):
    """Return what identifies a model, and what it was trained on.

    Args:
        name: of the model, without the folders of this machine.
        metadata: its metadata.json, of which nothing need be there or right; or None.
        version: str or None.
        sha256: `export_files.model_sha256`, or None where the files are not at hand.
        server: ``host:port`` that answered, or None.

    Returns:
        Dict of JSON values; what is not known is None, or an empty list.
    """
    known = as_dict(metadata)
    data, metrics = as_dict(known.get("data")), as_dict(known.get("metrics"))
    training, quality = as_dict(known.get("training")), as_dict(known.get("quality"))
    folders, means = as_list(known.get("folders")), as_dict(metrics.get("means"))
    return {
        "name": one_line(name, 64),
        "version": version,
        "sha256": sha256,
        "server": server,
        "method": _text(known.get("method")),
        "size": _number(known.get("size")),
        "spacing_mm": _number(known.get("spacing_mm")),
        "sources": _source_names([data, *folders]),
        "training_patients": _training_patients(folders, data, quality),
        "training_films": {
            "geometry": _text(as_dict(data.get("projection")).get("geometry")),
            "normalization": _text(
                known.get("film_normalization", FIRST_FILM_NORMALIZATION if known else None)
            ),
            "augment": _text(training.get("augment")),
        },
        "label_name": _text(data.get("label_name")),
        "data_sha256": _text(known.get("data_sha256")),
        "steps": _number(known.get("step")),
        "stages": [
            {
                "name": _text(stage.get("source")),
                "steps": _number(stage.get("steps")),
                "sources": _source_names(as_list(stage.get("folders"))),
            }
            for stage in map(as_dict, as_list(known.get("stages")))
        ],
        "test": {
            "patients": _number(metrics.get("patients")),
            "dice_name": _text(metrics.get("dice_name")),
            **{name: _number(means.get(name)) for name in ("psnr", "ssim", "dice_mean")},
        },
    }


def source_name(source):
    """Name a source of patients, and who made its labels where a network did.

    Args:
        source: dict of `Dataset.sources`, of which nothing need be there or right.

    Returns:
        str, such as ``"openkbp"`` or ``"openkbp (labels model-made by NAME)"``.
    """
    source = as_dict(source)
    name, labels = one_line(source.get("source"), 64), source.get("labels")
    return f"{name} (labels {one_line(labels, 100)})" if labels else name


def _source_names(folders):
    """Name the sources of data folders, each once."""
    return sorted(
        {
            source_name(source)
            for folder in map(as_dict, folders)
            for source in as_list(folder.get("sources"))
        }
    )


def _training_patients(folders, data, quality):
    """Return the number of patients in all data folders, or None where one does not tell."""
    # Models of earlier versions do not tell their folders.
    told = as_dict(data.get("patients")).get("training"), quality.get("training")
    if not folders:
        return next((each for each in map(_number, told) if each is not None), None)
    numbers = [_number(as_dict(folder).get("training_patients")) for folder in folders]
    return None if None in numbers else sum(numbers)


def provenance_record(reconstruction, verdict=None):
    """Return what made a reconstruction.

    Args:
        reconstruction: `xctrs_tf.reconstruction.Reconstruction`.
        verdict: `quality.verdict.Verdict`, or None if the quality checks were not made.

    Returns:
        Dict of JSON values: ``program``, ``date`` (UTC), ``models`` (`model_record` of each),
        ``mirror``, ``films`` (`FilmPair.record`) and ``checks``: ``views``, whether the films
        were compared with each other and with an upright pair; and ``quality``, the verdict.
    """
    pair = reconstruction.pair
    return {
        "program": PROGRAM,
        "date": reconstruction.date,
        "models": [dict(record) for record in reconstruction.models],
        "mirror": reconstruction.mirror,
        "films": pair and pair.record(),
        "checks": {"views": pair and pair.checked, "quality": verdict and verdict.level},
    }


def model_title(record):
    """Return a model's name, version and server.

    Args:
        record: dict of `model_record`.
    """
    name = record["name"] + (f" {record['version']}" if record["version"] else "")
    return name + (f" on {record['server']}" if record["server"] else "")


def model_sentences(record):
    """Say which model it is, its training, and how good it is on its test patients.

    Args:
        record: dict of `model_record`.

    Returns:
        str.
    """
    size, spacing_mm = record["size"], record["spacing_mm"]
    grid = f"{size}^3 voxels" if size else "voxels"
    if spacing_mm is not None:
        grid += f" of {spacing_mm:.3g} mm"
    method = f", {record['method']}" if record["method"] else ""
    return f"{model_title(record)}{method}, {grid}; {_training(record)}; {_test(record['test'])}."


def film_lines(record, with_files=True):
    """Say of each film which file and which part of it was used, and how it was turned.

    Args:
        record: dict of `FilmPair.record`, or None.
        with_files: name the files, whose names may be those of patients.

    Returns:
        Dict from view to str; empty if nothing is known.
    """
    if record is None:
        return {}
    lines = {view: _film_line(record[view]) for view in VIEWS}
    if with_files:
        return {view: f"{record[view]['file']}: {line}" for view, line in lines.items()}
    return lines


def overridden_checks(record):
    """Say which checks were switched off.

    Args:
        record: dict of `provenance_record`.

    Returns:
        List of str; empty if every check was made.
    """
    lines = []
    if record["checks"]["views"] is None:
        lines.append("the films were given as arrays: nothing checked their views and heights")
    elif not record["checks"]["views"]:
        lines.append("--nocheck_views: the films' views and heights were not checked")
    if record["checks"]["quality"] is None:
        lines.append("the quality checks were not made")
    return lines


def _training(record):
    """Tell the steps of each training and its data; of the last also the number of patients."""
    patients = record["training_patients"]
    who = f"{patients} patients" if patients is not None else "an unknown number of patients"
    # Trainings in a row on data of the same sources are told together, whatever their spelling.
    rows = [list(row) for _, row in itertools.groupby([*record["stages"], record], _same_sources)]
    data = [_names(row[0]) or "data not stated" for row in rows[:-1]]
    if len(rows[-1]) == 1:
        data.append(f"{who} ({_names(record) or 'source not stated'})")
    else:
        data.append(f"{_names(record) or 'data not stated'} (the last on {who})")
    told = [f"{_steps(row)} on {each}" for row, each in zip(rows, data, strict=True)]
    return f"trained for {', then '.join(told)}"


def _steps(row):
    """Tell the steps of trainings in a row."""
    told = " + ".join(_number_of(each["steps"]) for each in row)
    if row[-1]["steps"] is None:
        return f"{told} of steps"
    return f"{told} {'step' if told == '1' else 'steps'}"


def _same_sources(stage):
    """Return what is equal for trainings on data of the same sources."""
    return sorted({name.casefold() for name in stage["sources"]})


def _number_of(steps):
    return "an unknown number" if steps is None else f"{steps:,}"


def _names(stage):
    return ", ".join(stage["sources"])


def _test(test):
    figures = [text.format(test[name]) for name, text in _FIGURES if test[name] is not None]
    if test["dice_mean"] is not None:
        figures.append(f"{test['dice_name'] or 'Dice'} {100 * test['dice_mean']:.1f} %")
    if not figures:
        return "it has no figures of test patients"
    count = "" if test["patients"] is None else f"{test['patients']} "
    return f"on its {count}test patients {', '.join(figures)}"


def _film_line(film):
    box, used = film["crop_box"], film["used_crop_box"]
    where = f"box {','.join(map(str, used))}"
    if list(box) != list(used):
        where += f" (asked for: {','.join(map(str, box))})"
    turns = [
        text
        for name, text in (
            ("used_flip_horizontal", "left and right exchanged"),
            ("used_flip_vertical", "top and bottom exchanged"),
            ("invert", "grey values inverted"),
        )
        if film[name]
    ]
    if film["rotate_deg"]:
        turns.append(f"rotated clockwise by {film['rotate_deg']:g} degrees")
    # On a film that is taken whole the program may have found a neck, or none.
    found = ["found by the program"] if as_dict(film.get("found")).get("crop_box") else []
    return ", ".join([where, *turns, *found])


def _text(value):
    return one_line(value, 64) if isinstance(value, str) else None


def _number(value):
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    # An integer may be too large for a float, and so for math.isfinite.
    return value if plain and abs(value) <= sys.float_info.max else None
