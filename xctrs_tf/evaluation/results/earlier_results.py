"""Results whose runs lie on another machine, or are gone, together with those of new runs.

An evaluation of many rows and folds may be spread over machines and weeks. What a folder of
results holds is enough for the tables, so rows can be added to it without the earlier runs.
The conditions are those of `collection`: one data set, one set of settings, one reconstruction
for all rows of Table 3 in a fold.
"""

import dataclasses

from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.result_folder import RowResults, same_figures
from xctrs_tf.models.catalogue import ROWS


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
    _check_settings("all rows", results.settings, earlier.settings)
    _check_reconstructions(results, earlier)
    rows = {name: _merge_row(name, results.rows[name], earlier.rows[name]) for name in ROWS}
    return dataclasses.replace(
        results,
        rows=rows,
        mean_volume=_merge_mean_volume(results.mean_volume, earlier.mean_volume),
        settings={**earlier.settings, **results.settings},
        complexity=earlier.complexity,
    )


def _merge_row(name, new, old):
    """Return `RowResults` of both, in the order of folds and seeds."""
    kept = [run for run in old.runs if run.status == "evaluated"]
    places = {(run.fold, run.seed) for run in new.runs if run.status == "evaluated"}
    kept = [run for run in kept if (run.fold, run.seed) not in places]
    if not kept:
        return new
    if new.method is not None:
        _check_same(f"method of {name}", new.method, old.method)
        _check_settings(name, new.settings, old.settings)
    kept_places = {(run.fold, run.seed) for run in kept}
    runs = kept + [run for run in new.runs if (run.fold, run.seed) not in kept_places]
    lines = new.patients + [line for line in old.patients if _place(line) in kept_places]
    seen = set()
    for line in lines:
        patient = line["seed"], line["id"]
        if patient in seen:
            raise UserError(
                f"{name}: patient {line['id']} was tested in one fold by the runs and in another "
                "by the results in --output; a patient counts once"
            )
        seen.add(patient)
    return RowResults(
        method=old.method,
        settings={**old.settings, **(new.settings or {})},
        runs=sorted(runs, key=lambda run: (run.fold, run.seed)),
        patients=sorted(lines, key=_place),
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


def _check_reconstructions(results, earlier):
    """Refuse new rows of Table 3 after another reconstruction than the earlier ones."""
    known = {(run.fold, run.seed): (name, run) for name, run in _after_reconstruction(earlier)}
    for name, run in _after_reconstruction(results):
        earlier_name, before = known.get((run.fold, run.seed), (name, run))
        if run.reconstruction != before.reconstruction or (
            run is not before and run.reconstruction is None
        ):
            raise UserError(
                f"{name}, fold {run.fold}, seed {run.seed}: it is not known that it segments the "
                f"same reconstruction as {earlier_name} in --output, or it segments another; "
                "collect into another folder"
            )


def _after_reconstruction(results):
    """Return names and evaluated runs of the rows that segment a finished reconstruction."""
    return [
        (name, run)
        for name, row in results.rows.items()
        for run in row.runs
        if run.status == "evaluated" and " > " in row.method
    ]


def _place(line):
    return int(line["fold"]), int(line["seed"])


def _check_settings(what, new, old):
    differing = [key for key in sorted(new.keys() & old.keys()) if new[key] != old[key]]
    for key in differing:
        _check_same(f"{key} of {what}", new[key], old[key])


def _check_same(what, new, old):
    if new != old:
        raise UserError(
            f"{what} is {new} in the runs and {old} in --output; collect into another folder"
        )
