"""The paper's tables from runs, and whether those in the documents are still theirs.

  python -m experiments.tables --runs=RUNS --output=experiments/results/NAME [--keep]
  python -m experiments.tables --check [--results=experiments/results/NAME] [--write]

The first collects every run of RUNS (experiments.cross_validate) into a folder small
enough to commit: every patient's figures (rows/), where they come from
(about.json), what the networks cost on this machine (complexity.json), and
table1 to table3 and a summary as Markdown, LaTeX and CSV. --keep adds the runs of
RUNS to a folder whose earlier runs are on another machine or gone.

The second makes the tables anew from what was collected, and compares them with
the files and with what stands between markers in README.md and docs/results.md;
the exit status is 1 if any is stale. --write rewrites them.
"""

import logging
import pathlib
import sys

from absl import flags

from experiments.common import cli
from xctrs_tf import provenance
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.generated_tables import check_tables, write_tables
from xctrs_tf.evaluation.results.collection import collect_runs, without_folders
from xctrs_tf.evaluation.results.earlier_results import evaluated_places, with_earlier
from xctrs_tf.evaluation.results.result_folder import ABOUT, COMPLEXITY, read_results, write_results
from xctrs_tf.evaluation.tables.paper import PAPER_SIZE
from xctrs_tf.files import write_json
from xctrs_tf.models.catalogue import ROWS
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
RUNS = flags.DEFINE_string(
    "runs", None, "Folder of runs, of experiments.cross_validate.", flag_values=FLAGS
)
OUTPUT = flags.DEFINE_string("output", None, "Folder to collect them in.", flag_values=FLAGS)
MEASURE = flags.DEFINE_bool(
    "measure",
    True,
    "Count and time the networks; else what --output holds of it is kept.",
    flag_values=FLAGS,
)
REPEATS = flags.DEFINE_integer(
    "repeats", 15, "Calls of each network.", lower_bound=1, flag_values=FLAGS
)
KEEP = flags.DEFINE_bool(
    "keep",
    False,
    "Keep what --output holds of runs that --runs does not have; else it is removed.",
    flag_values=FLAGS,
)
CHECK = flags.DEFINE_bool(
    "check", False, "Whether committed tables are those of their figures.", flag_values=FLAGS
)
WRITE = flags.DEFINE_bool("write", False, "With --check: rewrite what is stale.", flag_values=FLAGS)
RESULTS = flags.DEFINE_list(
    "results", None, "With --check: only these folders of results.", flag_values=FLAGS
)

EXIT_STALE = 1
ROOT = pathlib.Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "experiments" / "results"
# Documents that contain generated tables.
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "results.md")


def execute():
    """Collect or check tables; return the exit status."""
    if CHECK.value:
        folders = [pathlib.Path(name) for name in RESULTS.value or ()]
        stale = check_tables(folders or _committed(), DOCUMENTS, ROOT, WRITE.value)
        for path in stale:
            print(f"stale: {path}", file=sys.stderr)
        return EXIT_STALE if stale else 0
    for flag in (RUNS, OUTPUT):
        if not flag.value:
            raise UserError(f"--{flag.name} is missing: both --runs and --output, or --check")
    output = pathlib.Path(OUTPUT.value)
    if KEEP.value and not (output / ABOUT).is_file():
        raise UserError(
            f"--output={output}: holds no results to keep; name their folder, or leave out --keep "
            "to begin new ones"
        )
    cli.lock_output(output)
    results = collect(pathlib.Path(RUNS.value), output)
    if MEASURE.value:
        write_json(output / COMPLEXITY, _measure(results))
    paths = write_tables(output)
    print(paths[0].read_text(encoding="utf-8"))
    print("\n".join(map(str, paths)))
    return 0


def collect(runs, output):
    """Write a folder's figures and where they come from.

    Args:
        runs: `pathlib.Path` of the runs.
        output: `pathlib.Path` of the folder, which exists.

    Returns:
        `Results`.

    Raises:
        UserError: the runs cannot stand in one table.
    """
    results = _combine(collect_runs(runs), output)
    patients = {line["id"] for row in results.rows.values() for line in row.patients}
    seeds = {run.seed for row in results.rows.values() for run in row.runs}
    origin = provenance.collect(len(patients), sorted(seeds), results.data_hash)
    origin["command"] = without_folders(origin["command"], runs)
    write_results(output, results, origin)
    return results


def _combine(results, output):
    """Return the results of new runs, with what --output holds of others if --keep is given."""
    if not (output / ABOUT).is_file():
        return results
    try:
        earlier = read_results(output)
    except UserError:
        if KEEP.value:
            raise
        return results
    if KEEP.value:
        return with_earlier(results, earlier)
    removed = sorted(evaluated_places(earlier) - evaluated_places(results))
    if removed:
        row, fold, seed = removed[0]
        logging.warning(
            "%s: %d evaluated runs in it are not in --runs and were removed, %s (fold %d, seed %d) "
            "first; --keep keeps them",
            *(output, len(removed), row, fold, seed),
        )
    return results


def _committed():
    return sorted(path.parent for path in COMMITTED.glob(f"*/{ABOUT}"))


def _measure(results):
    """Count and time the networks for complexity.json."""
    cli.load_tensorflow()
    from xctrs_tf.evaluation.tables.cost import inference_seconds, network_counts

    size, width = results.settings["size"], results.settings["width"]
    names = list(dict.fromkeys(name for row in ROWS.values() for name in row.networks))
    counted = progress_bar(names, description="counting", unit="network")
    networks = {
        name: {
            "at_run": network_counts(name, size, width),
            "at_128": network_counts(name, PAPER_SIZE),
        }
        for name in counted
    }

    def bar(turns):
        return progress_bar(turns, description="timing", unit="turn")

    seconds = inference_seconds(names, size, width, REPEATS.value, bar)
    for name, measured in seconds.items():
        networks[name]["seconds"] = measured
    origin = provenance.collect(n=REPEATS.value, seed=0, data_hash=None)
    origin["command"] = without_folders(origin["command"], RUNS.value)
    return {**origin, "size": size, "width": width, "networks": networks}


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
