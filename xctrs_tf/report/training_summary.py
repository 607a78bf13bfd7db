"""Summary of a model's training, and of how films differ from it, in sentences."""

from xctrs_tf.data.dataset.manifest import DEFAULT_LABEL_NAME
from xctrs_tf.data.films.film_normalisation import FIRST_FILM_NORMALIZATION
from xctrs_tf.errors import one_line
from xctrs_tf.files import as_dict
from xctrs_tf.quality.checks import film_respects
from xctrs_tf.report.provenance_record import model_sentences, source_name

UNKNOWN = "What the model was trained on is not known."


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
    data, training, quality = (as_dict(metadata.get(n)) for n in ("data", "training", "quality"))
    patients = as_dict(data.get("patients")).get("training", quality.get("training"))
    who = f"{patients} patients" if isinstance(patients, int) else "an unknown number of patients"
    sources = data.get("sources")
    sources = sources if isinstance(sources, list) else []
    names = ", ".join(sorted({source_name(each) for each in sources}))
    normalization = metadata.get("film_normalization", FIRST_FILM_NORMALIZATION)
    # Without the data folder only the record of the run tells its sources.
    made = _model_made(metadata.get("folders"), skip=1 if sources else 0)
    if not isinstance(patients, int) and not names:
        return f"{UNKNOWN} Films are normalised by {normalization}.{made}"
    augment = training.get("augment") or "none"
    overlap = data.get("label_name", DEFAULT_LABEL_NAME)
    labels = (
        ""
        if overlap == DEFAULT_LABEL_NAME
        else f" Overlap with their labels: {one_line(overlap, 60)}."
    )
    return (
        f"The model was trained on {who} (source: {one_line(names or 'not stated', 200)}) and on "
        f"films computed from their CTs{_rays(data.get('projection'))}; no real film was among "
        f"them. Films are normalised by {normalization}; augmentation: {one_line(augment, 100)}."
        f"{labels}{made}"
    )


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
        List of str: the models, the training, whether the films are like its films, the
        verdict, and its findings.
    """
    return [
        *map(model_sentences, models),
        describe_training(metadata),
        compare_films(verdict)["text"],
        f"verdict: {verdict.level}",
        *(f"  {finding.level}: {finding.reason}" for finding in verdict.findings),
    ]


def _model_made(folders, skip):
    """Name the sources of training data whose labels a network made, without the first folders."""
    further = folders[skip:] if isinstance(folders, list) else []
    sources = [as_dict(folder).get("sources") for folder in further]
    named = {
        source_name(each)
        for group in sources
        for each in (group if isinstance(group, list) else [])
        if as_dict(each).get("labels")
    }
    return f" Among the data: {one_line(', '.join(sorted(named)), 200)}." if named else ""


def _rays(projection):
    geometry = as_dict(projection).get("geometry")
    if geometry == "parallel":
        return " along parallel rays"
    return " along the rays of a cone" if geometry == "cone" else ""
