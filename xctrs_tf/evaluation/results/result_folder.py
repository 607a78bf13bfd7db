"""A folder of results, the input of tables and figures; small enough to commit.

    RESULTS/about.json          where everything comes from, run by run
    RESULTS/complexity.json     parameters, operations and seconds of the networks
    RESULTS/rows/<row>.csv      a line a patient: fold, seed, id and every figure
    RESULTS/rows/mean-volume.csv

The tables beside them are a function of these files alone.
"""

import dataclasses
import math
import pathlib

from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.patient import read_cases_csv
from xctrs_tf.files import atomic_path, read_json, write_csv, write_json
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW, NETWORKS, ROWS, TABLE_ROWS, XCTRSNET

RESULTS_FORMAT = "xctrs-results/1"
# Figures of the same prediction by the same code differ by rounding alone.
_ROUNDING = 1e-5
ABOUT, COMPLEXITY = "about.json", "complexity.json"


@dataclasses.dataclass(frozen=True)
class RunResults:
    """One run of a row.

    Attributes:
        fold: whose patients were tested.
        seed: of the run.
        status: ``"evaluated"``, ``"failed"`` or ``"not finished"``.
        error: why it failed, in one line.
        step: of the weights that were evaluated: those of the lowest validation loss.
        steps: that the run was to take.
        steps_trained: that it took; None where no history says.
        commands: that made it, without the folders of the machine.
        seconds: that the last start of the job took, with evaluation, or None.
        training_seconds: of the training steps of all its starts, or None.
        evaluation: commit, date, machine and versions of the evaluation, and `trained_on`: how
            many of its patients were trained on, None if that is not known; older ones lack it.
        computed_in: dtype policies of the networks on the machines that computed them; None
            or empty for those of the settings.
        commits: of the code of each start of the training, in order; None or empty where they
            are not known.
        reconstruction: dict of the hashes of the weights, by file, of the finished
            reconstruction that a row of Table 3 segments, or of that row of Table 1 itself;
            None for other rows, and where it is not known.
        split_sha256: hash of the patients that were held out, or None; older results lack it.
    """

    fold: int
    seed: int
    status: str
    error: str = ""
    step: int | None = None
    steps: int | None = None
    steps_trained: int | None = None
    commands: list | None = None
    seconds: float | None = None
    training_seconds: float | None = None
    evaluation: dict | None = None
    computed_in: list | None = None
    commits: list | None = None
    reconstruction: dict | None = None
    split_sha256: str | None = None


@dataclasses.dataclass
class RowResults:
    """All runs of one row.

    Attributes:
        method: name that the evaluations gave it, or None.
        settings: fields of `TrainingConfig` that make the method, or None.
        runs: list of `RunResults`.
        patients: list of dicts of strings: `fold`, `seed`, `id` and every figure.
    """

    method: str | None = None
    settings: dict | None = None
    runs: list = dataclasses.field(default_factory=list)
    patients: list = dataclasses.field(default_factory=list)

    @property
    def status(self):
        """``"evaluated"``, ``"failed"``, ``"not finished"`` or ``"not run"``."""
        found = {run.status for run in self.runs}
        order = ("evaluated", "failed", "not finished")
        return next((status for status in order if status in found), "not run")


@dataclasses.dataclass(frozen=True)
class Results:
    """Everything that was collected.

    Attributes:
        rows: dict of `RowResults` by the names in `models.catalogue.ROWS`.
        mean_volume: lines of the mean training volume, like `RowResults.patients`.
        settings: fields of `TrainingConfig` that all runs share.
        data_hash: of the prepared data.
        dice_name: what the overlap is called.
        complexity: dict of complexity.json, or None.
    """

    rows: dict
    mean_volume: list
    settings: dict
    data_hash: str
    dice_name: str
    complexity: dict | None = None

    def patients(self, row):
        """Return the lines of a row or of the mean volume."""
        return self.mean_volume if row == MEAN_VOLUME_ROW else self.rows[row].patients


def method_name(config, frozen_reconstruction=None):
    """Return the name of the method that a run trained.

    Networks that learn together are joined by ``+``; a segmentation after a
    finished reconstruction follows it behind ``>``. X-CTRSNet has the multi-view VGG loss, Dice
    and RSC.

    Args:
        config: the run's `TrainingConfig`.
        frozen_reconstruction: that of the run whose finished reconstruction it builds on, if any.

    Returns:
        Such as ``"X-CTRSNet"``, ``"SpaDRNet + VGG"`` or ``"SpaDRNet + VGG > 3D UNet"``.
    """
    segmentation = NETWORKS[config.segmentation].title if config.uses_segmentation else None
    if frozen_reconstruction is not None:
        return f"{method_name(frozen_reconstruction)} > {segmentation}"
    if not config.reconstructs:
        return f"{segmentation} on the CT"
    pair = (config.reconstruction, config.segmentation)
    has_all_terms = config.vgg_weight and config.dice_weight and config.rsc_weight
    if has_all_terms and pair == ("spadrnet", "mulsisnet"):
        return XCTRSNET
    parts = [NETWORKS[config.reconstruction].title]
    if config.vgg_weight:
        parts.append("VGG")
    if segmentation:
        parts.append(segmentation)
    if config.rsc_weight:
        parts.append("RSC")
    return " + ".join(parts)


def is_of_row(row, method):
    """Return whether runs of a method stand in a row of the tables.

    Args:
        row: key of `catalogue.ROWS`.
        method: of `method_name`.
    """
    # The networks of Table 3 come after a reconstruction, which their names begin with.
    return method.split(" > ")[-1] == ROWS[row].title


def same_figures(first, second):
    """Tell whether two lines of one patient differ by rounding alone.

    Args:
        first: dict of strings, a line of `RowResults.patients`.
        second: the other.
    """
    return first.keys() == second.keys() and all(
        first[key] == second[key] or _close(first[key], second[key]) for key in first
    )


def write_results(folder, results, origin):
    """Write about.json and the CSVs; tables and complexity.json are left alone.

    Args:
        folder: `pathlib.Path`, created if missing.
        results: `Results`.
        origin: dict of `xctrs_tf.provenance.collect`.
    """
    with atomic_path(folder / "rows") as temporary:
        temporary.mkdir()
        for row in TABLE_ROWS:
            if results.patients(row):
                write_csv(temporary / f"{row}.csv", results.patients(row))
    about = {
        "format": RESULTS_FORMAT,
        **origin,
        "dice_name": results.dice_name,
        "settings": results.settings,
        "rows": {
            name: {
                "method": row.method,
                "settings": row.settings,
                "runs": [dataclasses.asdict(run) for run in row.runs],
            }
            for name, row in results.rows.items()
        },
    }
    write_json(folder / ABOUT, about, ensure_ascii=False)


def read_results(folder):
    """Read what `write_results` wrote, and complexity.json if it is there.

    Args:
        folder: the folder.

    Returns:
        `Results`.

    Raises:
        UserError: it is not a folder of results, or it is damaged.
    """
    folder = pathlib.Path(folder)
    try:
        about = read_json(folder / ABOUT)
        if about["format"] != RESULTS_FORMAT:
            raise UserError(
                f"{folder / ABOUT}: not of format {RESULTS_FORMAT}; collect the runs again"
            )
        rows = {name: _read_row(folder, name, about["rows"]) for name in ROWS}
        complexity = folder / COMPLEXITY
        return Results(
            rows,
            _read_lines(folder, MEAN_VOLUME_ROW),
            about["settings"],
            about["data_hash"],
            about["dice_name"],
            read_json(complexity) if complexity.is_file() else None,
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename}: missing; make the folder with experiments.tables --runs=RUNS"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder}: damaged ({error}); collect the runs again") from None


def _read_row(folder, name, rows):
    """Return the `RowResults` of a row; empty for one that the catalogue got later."""
    lines = _read_lines(folder, name)
    if name not in rows and lines:
        raise ValueError(f"{ABOUT} lacks {name}, whose figures are in rows/")
    if name not in rows:
        return RowResults()
    row = rows[name]
    runs = [RunResults(**run) for run in row["runs"]]
    return RowResults(row["method"], row["settings"], runs, lines)


def _close(first, second):
    try:
        return math.isclose(float(first), float(second), abs_tol=_ROUNDING)
    except ValueError:
        return False


def _read_lines(folder, row):
    path = folder / "rows" / f"{row}.csv"
    return read_cases_csv(path) if path.is_file() else []
