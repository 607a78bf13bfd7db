"""Model card of an export, as Markdown: data, sizes, figures and detection rates."""

from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.quality.faults.detection_table import detection_markdown
from xctrs_tf.reconstruction.export_files import takes_films
from xctrs_tf.report.provenance_record import source_name
from xctrs_tf.report.training_summary import describe_training

_RECONSTRUCTION = (
    "Research on reconstruction from two films, by people who can look at the result beside a "
    "true CT. Not for diagnosis, planning or any decision about a patient. Two films do not "
    "determine a CT: what they do not show comes from the training patients."
)
_SEGMENTATION = (
    "Research: labels of C1 to C7 in CTs of the neck, for people who look at the result before "
    "they use it. Not for diagnosis, planning or any decision about a patient. A vertebra that "
    "the scan cuts, metal, fractures and unusual numbers of vertebrae were rare in training or "
    "not in it at all."
)
# Figures of experiments.segment.evaluate: title, factor and unit.
_OF_VERTEBRAE = {
    "identified": ("identified", 100, "%"),
    "distance": ("centroid off by", 1, "mm"),
    "dice": ("Dice", 100, "%"),
    "hd95": ("HD95", 1, "mm"),
}


def model_card(metadata):
    """Write the card of a model from its metadata.

    Args:
        metadata: dict of metadata.json. Packed segmentation networks have ``held_out``, ids of
            patients, and ``evaluations``, of experiments.segment.evaluate.

    Returns:
        str, Markdown.
    """
    reconstructs, evaluations = takes_films(metadata), metadata.get("evaluations")
    sections = [
        "# Model card",
        f"**{metadata['notice']}**",
        "## Use",
        _RECONSTRUCTION if reconstructs else _SEGMENTATION,
        "## Training",
        *([describe_training(metadata)] if reconstructs else []),
        _facts(metadata),
        "## Figures",
        *(map(_vertebrae, evaluations) if evaluations else [_figures(metadata.get("metrics"))]),
    ]
    if reconstructs:
        sections += ["## How often faults are noticed", *_quality(metadata.get("quality"))]
    return "\n\n".join(sections) + "\n"


def _facts(metadata):
    training = metadata["training"]
    # Models of earlier versions tell their networks as flags of the training alone.
    networks = metadata.get("networks") or {
        task: training.get(task) for task in ("reconstruction", "segmentation")
    }
    facts = {
        "networks": ", ".join(filter(None, networks.values())),
        "size": f"{metadata['size']}^3 voxels",
        "edge of a voxel": f"{metadata['spacing_mm']} mm" if metadata["spacing_mm"] else "unknown",
        "width": training.get("width"),
        "step of the weights": metadata["step"],
        "hash of the data": metadata["data_sha256"],
    }
    facts |= _data(metadata) if takes_films(metadata) else _data_of_segmentation(metadata)
    for part, ids in metadata.get("held_out", {}).items():
        facts[f"{part} patients"] = ", ".join(ids)
    for number, stage in enumerate(metadata.get("stages", []), 1):
        facts[f"earlier training {number}"] = _stage(stage)
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    return "\n".join(["| what | value |", "| --- | --- |", *rows])


def _data(metadata):
    if not metadata["data"]:
        return _folders(metadata)
    sources = {
        f"source {source_name(each)}": (
            f"{each['patients']} patients prepared, licence {each['licence']}"
        )
        for each in metadata["data"].get("sources", [])
    }
    return sources | _folders(metadata, first=2)


def _data_of_segmentation(metadata):
    return {"augmentation": metadata["training"].get("augment") or "none", **_folders(metadata)}


def _folders(metadata, first=1):
    """Name every data folder from this one on."""
    facts = {}
    for number, folder in enumerate(metadata.get("folders", [])[first - 1 :], first):
        names = ", ".join(f"{source_name(each)}, {each['licence']}" for each in folder["sources"])
        facts[f"data {number}"] = (
            f"{folder['training_patients']} patients ({names}), hash {folder['data_sha256']}"
        )
    return facts


def _stage(stage):
    """Describe a training whose weights the model began with."""
    if "steps" not in stage:
        return f"file {stage['source']}"
    sources = {source_name(each) for folder in stage["folders"] for each in folder["sources"]}
    patients = sum(folder["training_patients"] for folder in stage["folders"])
    return (
        f"{stage['source']}: {', '.join(stage['networks'])}, {stage['steps']} steps on {patients} "
        f"patients ({', '.join(sorted(sources)) or 'not stated'})"
    )


def _figures(metrics):
    if metrics is None:
        return "Not measured: run experiments.evaluate before experiments.export."
    rows = [
        f"| {name} | {'not available' if mean is None else f'{mean:.4g}'} |"
        for name, mean in metrics["means"].items()
    ]
    heading = (
        f"Means over {metrics['patients']} patients ({metrics['split']}), by experiments.evaluate, "
        f"{metrics['date']}; `dice` is the {metrics['dice_name']}:"
    )
    lines = [heading, "", "| figure | mean |", "| --- | --- |", *rows]
    # Older evaluations do not tell it.
    if metrics.get("trained_on", 0) is None:
        lines += ["", "Whether some of these patients were trained on is not known."]
    return "\n".join(lines)


def _vertebrae(metrics):
    """Write the figures of each vertebra in an evaluation of experiments.segment.evaluate."""
    names = ", ".join(map(source_name, metrics["sources"]))
    known = "it is not known how many" if metrics["trained_on"] is None else metrics["trained_on"]
    shown = {**_OF_VERTEBRAE, "dice": (metrics["dice_name"], *_OF_VERTEBRAE["dice"][1:])}
    means = metrics["means"]
    lines = [
        f"{metrics['patients']} patients ({metrics['split']}; source {names}), of which {known} "
        f"were trained on, by {metrics['program']}, {metrics['date']}. Levels were anchored in "
        f"{_number(means.get('anchored'), 100)} % of them.",
        "",
        f"| vertebra | {' | '.join(f'{title}, {unit}' for title, _, unit in shown.values())} |",
        f"| --- |{' --- |' * len(shown)}",
    ]
    for name in (*VERTEBRAE, "mean"):
        cells = [_number(means.get(f"{key}_{name}"), shown[key][1]) for key in shown]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value, factor):
    return "not available" if value is None else f"{factor * value:.1f}"


def _quality(quality):
    if quality is None:
        return ["Not measured: run experiments.calibrate before experiments.export."]
    rate = quality["false_alarm_rate"]
    alarms = f"{rate['leave_one_out']:.2f}"
    if "interval" in rate:
        alarms += f" (95 % interval {rate['interval'][0]:.2f} to {rate['interval'][1]:.2f})"
    parts = [
        f"The checks of the report, calibrated on {quality['held_out']} patients that the model "
        f"was not trained on. False alarms, each patient judged by thresholds from the others: "
        f"{alarms}; asked for were {rate['asked']:.2f}."
    ]
    detection = quality.get("detection", {})
    # Those of format 1 have no intervals.
    if all("interval" in rates for rates in detection.values()) and detection:
        parts += [
            "Shares of the patients whose films were altered on purpose. A fault that costs no "
            "PSNR need not be detected; *named* is the share of the detected ones of which the "
            "report tells the right cause first.",
            detection_markdown(detection),
        ]
    for other in quality.get("foreign", []):
        names = ", ".join(map(source_name, other["sources"]))
        # Calibrations of before do not tell it.
        unknown = other.get("trained_on", 0) is None
        seen = "; whether the model was trained on some of them is not known" if unknown else ""
        parts += [
            f"Patients of other data ({names}, {other['patients']} patients{seen}), judged by the "
            "same thresholds; *none* are its false alarms, as films that are unlike the training "
            "films:",
            detection_markdown(other["detection"]),
        ]
    return parts
