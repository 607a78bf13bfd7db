"""Summary of the models' training, and of how films differ from it, in sentences."""

from xctrs_tf.data.dataset.manifest import DEFAULT_LABEL_NAME
from xctrs_tf.errors import one_line
from xctrs_tf.quality.checks import film_respects
from xctrs_tf.report.provenance_record import model_record, model_sentences

UNKNOWN = "What the model was trained on is not known."
_RAYS = {"parallel": " along parallel rays", "cone": " along the rays of a cone"}


def training_lines(metadata, models=()):
    """Say of each model what it is, and what it was trained on.

    Args:
        metadata: metadata.json of a model of which no more is known, or None.
        models: `provenance_record.model_record` of each model; then ``metadata`` does not count.

    Returns:
        List of str, one for each model.
    """
    if not models:
        return [describe_training(metadata)]
    return [" ".join([model_sentences(each), *_film_sentences(each)]) for each in models]


def describe_training(metadata):
    """Say what a model was trained on.

    Args:
        metadata: metadata.json of an export, or None.

    Returns:
        str, one or two sentences.
    """
    if not metadata:
        return UNKNOWN
    # Nobody has checked these fields: the metadata may come from anyone.
    record = model_record("", metadata)
    patients, names = record["training_patients"], ", ".join(record["sources"])
    if patients is None and not names:
        return " ".join([UNKNOWN, *_remarks(record)])
    who = "an unknown number of patients" if patients is None else f"{patients} patients"
    first = (
        f"The model was trained on {who} (source: {one_line(names or 'not stated', 200)}) and on "
        f"films computed from their CTs{_rays(record)}; no real film was among them."
    )
    return " ".join([first, *_remarks(record)])


def _film_sentences(record):
    """Return what `model_sentences` does not tell of a training."""
    if record["training_patients"] is None and not record["sources"]:
        return _remarks(record)
    first = f"Its films were computed from the CTs{_rays(record)}; no real film was among them."
    return [first, *_remarks(record)]


def _remarks(record):
    normalization, augment = (record["training_films"][n] for n in ("normalization", "augment"))
    remarks = []
    if normalization:
        augmented = "" if augment is None else f"; augmentation: {augment or 'none'}"
        remarks.append(f"Films are normalised by {normalization}{augmented}.")
    if record["label_name"] not in (None, DEFAULT_LABEL_NAME):
        remarks.append(f"Overlap with the patients' labels: {record['label_name']}.")
    return remarks


def _rays(record):
    return _RAYS.get(record["training_films"]["geometry"], "")


def compare_films(verdict):
    """Say whether films look like the training films, and in what they do not.

    Args:
        verdict: `quality.verdict.Verdict`.

    Returns:
        Dict of JSON values: ``alike``, True, False or None where it was not measured;
        ``differences``, a list such as ``["AP film: grey values"]``; and ``text``, a
        sentence.
    """
    if not verdict.is_calibrated:
        text = (
            "Whether these films look like its training films is not known: the model was not "
            "calibrated."
        )
        return {"alike": None, "differences": [], "text": text}
    differences = film_respects(verdict.failing)
    if not differences:
        text = "These films look like its training films."
        return {"alike": True, "differences": [], "text": text}
    text = f"These films do not look like its training films: {'; '.join(differences)}."
    return {"alike": False, "differences": differences, "text": text}


def verdict_lines(verdict, metadata, models):
    """Say what a program prints of a reconstruction's verdict.

    Args:
        verdict: `quality.verdict.Verdict`.
        metadata: metadata.json of the model, or None.
        models: ``models`` of the `Reconstruction`.

    Returns:
        List of str: each model with its training, whether the films are like its films, the
        verdict, and its findings.
    """
    return [
        *training_lines(metadata, models),
        compare_films(verdict)["text"],
        f"verdict: {verdict.level}",
        *(f"  {finding.level}: {finding.reason}" for finding in verdict.findings),
    ]
