"""Collection of runs: every patient's figures, method by method.

Runs lie in `RUNS/<row>/fold-<n>-seed-<n>/`, each with the evaluation that
`experiments.evaluate` wrote, and beside it a `.json` of how the job ended, if it
was one of `experiments.cross_validate`. Runs that do not belong in one table are refused: runs of
other data or other settings, rows of Table 3 after different reconstructions, patients tested
twice, evaluations by other code.
"""

import pathlib
import re

from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.finished_run import is_evaluated, read_finished_run, read_job
from xctrs_tf.evaluation.results.result_folder import (
    Results,
    RowResults,
    RunResults,
    is_of_row,
    method_name,
    same_figures,
)
from xctrs_tf.models.catalogue import RECONSTRUCTION_ROW, ROWS
from xctrs_tf.training.config.field_kinds import METHOD

RUN_NAME = re.compile(r"fold-(\d+)-seed-(\d+)")
# What the results keep of an evaluation's origin.
_OF_EVALUATION = ("commit", "date", "machine", "versions", "trained_on")


def collect_runs(runs):
    """Read every evaluated run of a folder.

    Args:
        runs: the folder.

    Returns:
        `Results`.

    Raises:
        UserError: there is nothing to read, or it cannot stand in one table.
    """
    runs = pathlib.Path(runs)
    if not runs.is_dir():
        raise UserError(f"--runs={runs}: no such folder; name one of experiments.cross_validate")
    collector = _Collector(runs)
    for row in ROWS:
        # A job that failed before it began has a record but no folder.
        names = {path.name.removesuffix(".json") for path in (runs / row).glob("*")}
        for name in sorted(filter(RUN_NAME.fullmatch, names)):
            collector.add(row, runs / row / name)
    return collector.results()


def without_folders(text, runs):
    """Remove the folders of the machine from a command or an error message.

    Args:
        text: the command or the message.
        runs: folder of the runs, which becomes ``RUNS``.

    Returns:
        The text; other absolute paths are reduced to their last name.
    """
    text = text.replace(str(pathlib.Path(runs).absolute()), "RUNS")
    return re.sub(r"(?<![\w.])/(?:[^/\s']+/)+", "", text)


class _Collector:
    def __init__(self, root):
        self._root = root
        self._rows = {row: RowResults() for row in ROWS}
        self._mean_volume = {}
        self._config = self._data_hash = self._dice_name = None
        self._split_hashes = {}
        self._fold_of = {}
        # What is known of the reconstruction that Table 3 segments: its settings, and by fold
        # and seed its weights.
        self._frozen_settings, self._frozen_weights = {}, {}

    def add(self, row, folder):
        """Read one run folder."""
        fold, seed = map(int, RUN_NAME.fullmatch(folder.name).groups())
        runs = self._rows[row].runs
        if any((run.fold, run.seed) == (fold, seed) for run in runs):
            raise UserError(f"{folder}: a second run of fold {fold} and seed {seed}; remove one")
        job = read_job(folder)
        if job.get("status") == "failed":
            error = without_folders(" ".join(job["error"].split()), self._root)
            runs.append(RunResults(fold, seed, "failed", error))
        elif not is_evaluated(folder):
            runs.append(RunResults(fold, seed, "not finished"))
        else:
            run = read_finished_run(folder)
            _check_place(folder, fold, seed, run)
            _check_evaluation(folder, row, run)
            self._add_evaluated(row, folder, run, job)

    def results(self):
        """Return the results that were read."""
        if self._config is None:
            raise UserError(
                f"--runs={self._root}: no evaluated run of {', '.join(ROWS)} in it; run "
                "experiments.cross_validate (again where a job failed), or experiments.evaluate on "
                "runs of experiments.train"
            )
        return Results(
            rows=self._rows,
            mean_volume=list(self._mean_volume.values()),
            settings={k: v for k, v in self._config.items() if k not in METHOD},
            data_hash=self._data_hash,
            dice_name=self._dice_name,
        )

    def _add_evaluated(self, row, folder, run, job):
        results = self._rows[row]
        fold, seed, origin = run.config.fold, run.config.seed, run.origin
        self._check_same(folder, run, results)
        reconstruction = self._check_reconstruction(row, folder, run)
        for patient in run.patients:
            if self._fold_of.setdefault(patient["id"], fold) != fold:
                raise UserError(
                    f"{folder}: patient {patient['id']} was tested in another fold too, by this "
                    "row or one before it, so the patients were dealt to other folds in between; "
                    "train all rows on the same folds"
                )
        place = {"fold": str(fold), "seed": str(seed)}
        results.patients += [{**place, **patient} for patient in run.patients]
        results.method = origin["method"]
        results.runs.append(
            RunResults(
                fold,
                seed,
                "evaluated",
                step=origin["step"],
                steps=run.config.steps,
                steps_trained=run.steps_trained,
                training_seconds=run.training_seconds,
                commands=[
                    without_folders(command, self._root)
                    for command in job.get("commands", [origin["command"]])
                ],
                seconds=job.get("seconds"),
                # Older evaluations do not tell trained_on.
                evaluation={key: origin[key] for key in _OF_EVALUATION if key in origin},
                computed_in=run.computed_in,
                commits=run.commits,
                reconstruction=reconstruction.get("weights"),
                split_sha256=run.record.split_sha256,
            )
        )
        self._add_mean_volume(folder, fold, run.mean_volume)

    def _check_same(self, folder, run, results):
        """Refuse a run whose data or settings differ from those of the earlier runs."""
        config, origin = run.config, run.origin
        fields = run.record.compared_fields()
        own = {name: fields[name] for name in sorted(METHOD & fields.keys())}
        if self._config is None:
            self._data_hash, self._dice_name = origin["data_hash"], origin["dice_name"]
        before = {**(self._config or {}), **(results.settings or own)}
        differing = [
            f"{name} is {fields[name]} and was {before[name]}"
            for name in sorted(fields.keys() & before.keys())
            if fields[name] != before[name]
        ]
        if origin["data_hash"] != self._data_hash:
            differing.append("its data is other data")
        elif run.record.split_sha256 is not None:
            known = self._split_hashes.setdefault(config.fold, run.record.split_sha256)
            if run.record.split_sha256 != known:
                differing.append(f"fold {config.fold} holds out other patients")
        if results.method not in (None, origin["method"]):
            differing.append(f"its method is {origin['method']} and was {results.method}")
        if origin["dice_name"] != self._dice_name:
            differing.append(f"its overlap is called {origin['dice_name']}")
        if differing:
            raise UserError(
                f"{folder}: cannot stand in one table with the runs before it "
                f"({'; '.join(differing)}); collect them apart"
            )
        results.settings = own
        self._config = {**fields, **(self._config or {})}

    def _check_reconstruction(self, row, folder, run):
        """Refuse a row of Table 3 after another reconstruction than that of Table 1.

        Returns:
            Dict of what is known of the checkpoint of the reconstruction; empty for other rows.
        """
        if row == RECONSTRUCTION_ROW:
            record, best = run.record, run.best
        elif run.frozen is not None:
            record, best = run.frozen, run.frozen_best
        else:
            return {}
        settings = {**record.compared_fields(), "data": record.data_sha256}
        weights = self._frozen_weights.setdefault((run.config.fold, run.config.seed), {})
        # What a run of an earlier version does not tell is no difference.
        differing = sorted(
            name
            for found, known in ((settings, self._frozen_settings), (best, weights))
            for name in found
            if found[name] != known.setdefault(name, found[name])
        )
        if differing:
            raise UserError(
                f"{folder}: the rows before it segment another reconstruction, or it is another "
                f"than theirs ({', '.join(differing)}); train the rows of Table 3 on that of "
                f"{RECONSTRUCTION_ROW}"
            )
        return best

    def _add_mean_volume(self, folder, fold, patients):
        """Keep the mean volume's figures, which every run of a fold must agree on."""
        for patient in patients:
            key = fold, patient["id"]
            known = self._mean_volume.setdefault(key, {"fold": str(fold), "seed": "", **patient})
            if not same_figures(known, {"fold": str(fold), "seed": "", **patient}):
                raise UserError(
                    f"{folder}: the mean volume's figures of patient {patient['id']} differ from "
                    "those of other runs, so they were computed by other code; run "
                    "experiments.evaluate again"
                )


def _check_place(folder, fold, seed, run):
    if (run.config.fold, run.config.seed) != (fold, seed):
        raise UserError(
            f"{folder}: its configuration has fold {run.config.fold} and seed {run.config.seed}; "
            "name the folder so"
        )
    if run.frozen and run.frozen.config.fold != fold:
        raise UserError(
            f"{folder}: its reconstruction was trained on fold {run.frozen.config.fold}, and so on "
            f"patients that fold {fold} tests; train it on that of its own fold"
        )
    if run.frozen and not run.frozen.may_hold_out(run.record.split_sha256):
        raise UserError(
            f"{folder}: its reconstruction was trained before the patients were dealt to other "
            "folds, and so perhaps on those that are tested; train it anew"
        )


def _check_evaluation(folder, row, run):
    origin = run.origin
    if origin["split"] != "test" or "method" not in origin:
        raise UserError(
            f"{folder / 'evaluation'}: not of the test patients, or by an older version; run "
            "experiments.evaluate again"
        )
    if origin.get("trained_on"):
        raise UserError(
            f"{folder / 'evaluation'}: {origin['trained_on']} of its patients were trained on, by "
            "an earlier stage perhaps; train without --initial_weights of another fold"
        )
    # Of the evaluation, and of the run.
    for method in (origin["method"], method_name(run.config, run.frozen and run.frozen.config)):
        if not is_of_row(row, method):
            raise UserError(f"{folder}: is {method} and no {row}; name the folder after it")
    if origin["data_hash"] != run.record.data_sha256:
        raise UserError(
            f"{folder / 'evaluation'}: on other data than the run was trained on; run "
            "experiments.evaluate again without --data"
        )
    if origin["step"] != run.best["step"]:
        raise UserError(
            f"{folder / 'evaluation'}: of step {origin['step']}, but the best is that of step "
            f"{run.best['step']}; run experiments.evaluate again"
        )
