"""Model card of a packed segmentation network, as Markdown."""

from xctrs_tf.geometry import VERTEBRAE

_INTENDED = (
    "Research: labels of C1 to C7 in CTs of the neck, for people who look at the result before "
    "they use it. Not for diagnosis, planning or any decision about a patient. A vertebra that "
    "the scan cuts, metal, fractures and unusual numbers of vertebrae were rare in training or "
    "not in it at all."
)
_SHOWN = {
    "identified": ("identified", 100, "%"),
    "distance": ("centroid off by", 1, "mm"),
    "dice": ("Dice", 100, "%"),
    "hd95": ("HD95", 1, "mm"),
}


def segmenter_card(metadata):
    """Write the card of a segmentation network from its metadata.

    Args:
        metadata: dict of metadata.json of experiments.segment.pack.

    Returns:
        str, Markdown.
    """
    sections = [
        "# Model card",
        f"**{metadata['notice']}**",
        "## Use",
        _INTENDED,
        "## Training",
        _training(metadata),
        "## Figures",
        *(_figures(each) for each in metadata["evaluations"]),
    ]
    return "\n\n".join(sections) + "\n"


def _training(metadata):
    training = metadata["training"]
    facts = {
        "network": training["segmentation"],
        "size": f"{metadata['size']}^3 voxels of {metadata['spacing_mm']:g} mm",
        "width": training["width"],
        "step of the weights": metadata["step"],
        "augmentation": training["augment"] or "none",
        "validation patients": ", ".join(metadata["held_out"]["validation"]),
        "test patients": ", ".join(metadata["held_out"]["test"]),
    }
    for number, folder in enumerate(metadata["folders"], 1):
        facts[f"data {number}"] = _folder(folder)
    for number, stage in enumerate(metadata["stages"], 1):
        folders = "; ".join(map(_folder, stage.get("folders", []))) or "not stated"
        facts[f"earlier training {number}"] = (
            f"{stage['source']}: {', '.join(stage.get('networks', []))}, "
            f"{stage.get('steps', 'unknown')} steps on {folders}"
        )
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    return "\n".join(["| what | value |", "| --- | --- |", *rows])


def _folder(folder):
    names = ", ".join(
        ", ".join(each[key] for key in ("source", "licence", "labels") if each.get(key))
        for each in folder["sources"]
    )
    return f"{folder['training_patients']} patients ({names}), hash {folder['data_sha256']}"


def _figures(metrics):
    names = ", ".join(str(each["source"]) for each in metrics["sources"])
    seen = metrics["trained_on"]
    shown = {**_SHOWN, "dice": (metrics["dice_name"], *_SHOWN["dice"][1:])}
    titles = [f"{title}, {unit}" for title, _, unit in shown.values()]
    known = "it is not known how many" if seen is None else str(seen)
    lines = [
        f"{metrics['patients']} patients ({metrics['split']}; source {names}), of which {known} "
        f"were trained on, by {metrics['program']}, {metrics['date']}. Levels were anchored in "
        f"{_number(metrics['means'].get('anchored'), 100)} % of them.",
        "",
        f"| vertebra | {' | '.join(titles)} |",
        f"| --- |{' --- |' * len(_SHOWN)}",
    ]
    for name in (*VERTEBRAE, "mean"):
        cells = [
            _number(metrics["means"].get(f"{key}_{name}"), factor)
            for key, (_, factor, _) in _SHOWN.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value, factor):
    return "not available" if value is None else f"{factor * value:.1f}"
