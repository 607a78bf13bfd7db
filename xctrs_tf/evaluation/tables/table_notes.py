"""Notes under the tables: with which data and settings the rows were made."""

from xctrs_tf.evaluation.tables.grids import range_text
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW, TABLE_ROWS


def settings_note(results):
    """Return what stands below a table of means about its cells and its runs."""
    return f"Mean ± SD over n patients. {runs_note(results)}"


def other_patients_note(results, rows):
    """Say that rows cannot be subtracted where they were tested on different patients.

    Args:
        results: `Results`.
        rows: names of the rows of the table.

    Returns:
        List of one sentence, or of none where all rows have the same patients.
    """
    tested = {frozenset(line["id"] for line in results.patients(row)) for row in rows}
    if len(tested - {frozenset()}) < 2:
        return []
    return [
        "Not all rows have the same patients, so do not subtract their means; answers.md has the "
        "differences over the same patients."
    ]


def runs_note(results):
    """Return what stands below a table about the runs.

    Args:
        results: `Results`.

    Returns:
        Size, steps, precision, folds and seeds, and the rows whose test patients may have been
        trained on.
    """
    settings = results.settings
    steps, other_steps = _in_most_rows(results, _steps)
    precision, other_precisions = _in_most_rows(results, _precision)
    limit = "up to " if settings.get("patience") else ""
    folds, other_folds = _in_most_rows(results, _folds)
    seeds, other_seeds = _in_most_rows(results, _seeds)
    return (
        f"Here: {settings['size']}^3, widths times {settings['width']:g}, "
        f"{limit}{steps}{other_steps}, {precision}{other_precisions}, "
        f"{folds}{other_folds}, {seeds}{other_seeds}; about.json has every setting."
        f"{_cross_entropy(results)}{_perhaps_seen(results)}"
    )


def _cross_entropy(results):
    """Return a sentence on segmentations with a cross-entropy in their loss, or nothing."""
    titles = {True: [], False: []}
    for name, row in results.rows.items():
        # Older results have some settings only where all rows agree.
        settings = {**results.settings, **(row.settings or {})}
        if row.settings and settings.get("dice_weight"):
            titles[settings.get("cross_entropy_weight", 0) > 0].append(TABLE_ROWS[name].title)
    if not titles[True]:
        return ""
    which = ", ".join(titles[True]) if titles[False] else "every segmentation"
    return f" With a cross-entropy, which the paper does not have: {which}."


def _perhaps_seen(results):
    """Return a sentence on rows of which it is not known what they were trained on, or nothing."""
    titles = [
        TABLE_ROWS[name].title
        for name, row in results.rows.items()
        # Older evaluations do not tell it.
        if any(run.evaluation and run.evaluation.get("trained_on", 0) is None for run in row.runs)
    ]
    if not titles:
        return ""
    return f" Whether test patients were trained on is not known of: {', '.join(titles)}."


def _computed_otherwise(runs, precision):
    """Return words for precisions that a row was computed in without being set, or no words."""
    found = {each for run in runs for each in run.computed_in or [precision]}
    return f" computed in {' and '.join(sorted(found))}" if found - {precision} else ""


def _steps(settings, runs):
    steps = range_text([run.steps for run in runs if run.steps is not None])
    return f"{steps} steps of {settings['batch_size']} patients"


def _precision(settings, runs):
    return settings["precision"] + _computed_otherwise(runs, settings["precision"])


def _folds(settings, runs):
    del settings
    return _listed("fold", sorted({run.fold for run in _evaluated(runs)}))


def _seeds(settings, runs):
    """Name the seeds of a row, and their folds where these are not the same."""
    del settings
    folds = {}
    for run in _evaluated(runs):
        folds.setdefault(run.seed, set()).add(run.fold)
    if all(each == folds[min(folds)] for each in folds.values()):
        return _listed("seed", sorted(folds))
    parts = [f"seed {seed} in {_listed('fold', sorted(folds[seed]))}" for seed in sorted(folds)]
    return " and ".join(parts)


def _evaluated(runs):
    return [run for run in runs if run.status == "evaluated"]


def _in_most_rows(results, describe):
    """Return what most rows have, and a text that names the rows with something else."""
    titles = {}
    for name, row in results.rows.items():
        if row.settings and _evaluated(row.runs):
            # Older results have some of them only where all rows agree.
            found = describe({**results.settings, **row.settings}, row.runs)
            titles.setdefault(found, []).append(TABLE_ROWS[name].title)
    usual, *others = sorted(titles, key=lambda found: -len(titles[found]))
    exceptions = [f"{', '.join(titles[found])}: {found}" for found in others]
    return usual, f" ({'; '.join(exceptions)})" if exceptions else ""


def run_notes(results, table):
    """Yield a note on each run of a table that failed, is not finished or stopped early."""
    for row in table.rows:
        for run in results.rows[row].runs if row != MEAN_VOLUME_ROW else ():
            what = f"{TABLE_ROWS[row].title}, fold {run.fold}, seed {run.seed}: "
            if run.status == "failed":
                yield f"{what}failed ({run.error})."
            elif run.status == "not finished":
                yield f"{what}not finished, and not in the figures."
            elif run.steps_trained is not None and run.steps_trained < run.steps:
                yield f"{what}stopped at step {run.steps_trained} of {run.steps}."


def _listed(noun, numbers):
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
