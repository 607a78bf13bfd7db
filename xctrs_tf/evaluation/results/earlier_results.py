"""Results whose runs lie on another machine, or are gone, together with those of new runs.

An evaluation of many rows and folds may be spread over machines and weeks. What a folder of
results holds is enough for the tables, so rows can be added to it without the earlier runs.
The conditions are those of `collection`: one data set in one set of folds, one set of settings,
one reconstruction for all rows of Table 3 in a fold.
"""

import dataclasses

from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.result_folder import RowResults, same_figures
from xctrs_tf.models.catalogue import RECONSTRUCTION_ROW, ROWS
from xctrs_tf.training.config.field_kinds import METHOD, OF_SEGMENTATION
from xctrs_tf.training.run_record import complete_training, tells_trainings


def evaluated_places(results):
    """Return which runs were evaluated.

    Args:
        results: `Results`.

    Returns:
        Set of (row, fold, seed).
    """
    return {
        (name, run.fold, run.seed)
        for name, row in results.rows.items()
        for run in row.runs
        if run.status == "evaluated"
    }


def with_earlier(results, earlier):
    """Add the evaluated runs of earlier results that new results do not have.

    Args:
        results: `Results` of new runs; where both have evaluated a run, these are kept.
        earlier: `Results`.

    Returns:
        `Results`, with the costs (``complexity``) of the earlier ones.

    Raises:
        UserError: the two cannot stand in one table.
    """
    _check_same("data", results.data_hash, earlier.data_hash)
    _check_same("dice_name", results.dice_name, earlier.dice_name)
    settings = _complete(earlier.settings)
    # Older results name the first weights and do not tell their trainings.
    named = settings["initial_weights"] and not tells_trainings(settings["initial_weights"])
    if named and tells_trainings(results.settings.get("initial_weights")):
        del settings["initial_weights"]
    _check_settings("all rows", results.settings, settings)
    replaced = evaluated_places(results)
    kept = {name: _kept_row(name, earlier, replaced) for name in ROWS}
    rows = {name: _merge_row(name, results.rows[name], kept[name]) for name in ROWS}
    _check_reconstructions(results.rows, kept)
    tested = {(line["fold"], line["id"]) for row in rows.values() for line in row.patients}
    merged = dataclasses.replace(
        results,
        rows=rows,
        mean_volume=[
            line
            for line in _merge_mean_volume(results.mean_volume, earlier.mean_volume)
            if (line["fold"], line["id"]) in tested
        ],
        settings={
            **{name: value for name, value in earlier.settings.items() if name not in METHOD},
            **results.settings,
        },
        complexity=earlier.complexity,
    )
    _check_folds(merged)
    return merged


def _kept_row(name, earlier, replaced):
    """Return `RowResults` of the evaluated runs that no new run replaces."""
    row = earlier.rows[name]
    runs = [
        run
        for run in row.runs
        if run.status == "evaluated" and (name, run.fold, run.seed) not in replaced
    ]
    places = {(run.fold, run.seed) for run in runs}
    # Older results have some settings of a method among those of all rows.
    shared = {field: value for field, value in earlier.settings.items() if field in METHOD}
    return RowResults(
        method=row.method if runs else None,
        settings={**shared, **(row.settings or {})} if runs else None,
        runs=runs,
        patients=[line for line in row.patients if _place(line) in places],
    )


def _merge_row(name, new, kept):
    """Return `RowResults` of both, in the order of folds and seeds."""
    if not kept.runs:
        return new
    if new.method is not None:
        _check_same(f"method of {name}", new.method, kept.method)
        _check_settings(name, new.settings, _complete(kept.settings))
    places = {(run.fold, run.seed) for run in kept.runs}
    # An earlier evaluation counts more than a run that failed or is not finished.
    runs = kept.runs + [run for run in new.runs if (run.fold, run.seed) not in places]
    return RowResults(
        method=kept.method,
        settings={**kept.settings, **(new.settings or {})},
        runs=sorted(runs, key=lambda run: (run.fold, run.seed)),
        patients=sorted(new.patients + kept.patients, key=_place),
    )


def _merge_mean_volume(new, old):
    merged = {(line["fold"], line["id"]): line for line in old}
    for line in new:
        known = merged.setdefault((line["fold"], line["id"]), line)
        if not same_figures(line, known):
            raise UserError(
                f"the mean volume's figures of patient {line['id']} differ from those in "
                "--output, so they were computed by other code; evaluate all runs again"
            )
    return sorted(merged.values(), key=lambda line: int(line["fold"]))


def _check_folds(results):
    """Refuse results of patients that were dealt to other folds in between."""
    hashes, patients, fold_of = {}, {}, {}
    for name, row in results.rows.items():
        for run in row.runs:
            if run.status != "evaluated":
                continue
            place = str(run.fold), str(run.seed)
            ids = {line["id"] for line in row.patients if (line["fold"], line["seed"]) == place}
            # Older results do not tell the hash, which covers the validation patients too.
            told = run.split_sha256
            if (
                patients.setdefault(run.fold, ids) != ids
                or (told and hashes.setdefault(run.fold, told) != told)
                or any(fold_of.setdefault(patient, run.fold) != run.fold for patient in ids)
            ):
                raise UserError(
                    f"{name}: fold {run.fold} has other test patients in the runs than in "
                    "--output; train all rows on the same folds"
                )


def _check_reconstructions(rows, kept):
    """Refuse new rows of Table 3 after another reconstruction than the earlier ones."""
    for name, run in _with_reconstruction(rows):
        for earlier_name, before in _with_reconstruction(kept):
            if (run.fold, run.seed) != (before.fold, before.seed):
                continue
            if None in (run.reconstruction, before.reconstruction):
                # Runs of Table 1 may be older than the records of their weights.
                refused = RECONSTRUCTION_ROW not in (name, earlier_name)
            else:
                refused = run.reconstruction != before.reconstruction
            if refused:
                raise UserError(
                    f"{name}, fold {run.fold}, seed {run.seed}: its reconstruction is another than "
                    f"that of {earlier_name} in --output, or it is not known that it is the same; "
                    "collect into another folder"
                )


def _with_reconstruction(rows):
    """Return names and evaluated runs of Table 3 and of the reconstruction that it segments."""
    return [
        (name, run)
        for name, row in rows.items()
        for run in row.runs
        if run.status == "evaluated" and (name == RECONSTRUCTION_ROW or " > " in row.method)
    ]


def _place(line):
    return int(line["fold"]), int(line["seed"])


def _complete(settings):
    """Add the fields that older results lack, with the values that they had then.

    Those of the segmentation are in all results of runs that segment, of any version.
    """
    first = complete_training({})
    return {**{name: first[name] for name in first.keys() - OF_SEGMENTATION}, **settings}


def _check_settings(what, new, old):
    for name in sorted(new.keys() & old.keys()):
        _check_same(f"{name} of {what}", new[name], old[name])


def _check_same(what, new, old):
    if new != old:
        raise UserError(
            f"{what} is {new} in the runs and {old} in --output; collect into another folder"
        )
