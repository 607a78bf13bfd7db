"""The experiment log: list all runs under a folder, in what they differ, and what came out.

    python -m experiments.runs --runs=RUNS
    python -m experiments.runs --runs=RUNS --output=log.csv

Figures are those of the validation patients, on whom choices are made.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.experiment_log import log_grid, read_log
from xctrs_tf.evaluation.tables.grids import markdown, text
from xctrs_tf.files import atomic_path, write_csv, write_text

FLAGS = flags.FlagValues()
RUNS = flags.DEFINE_string("runs", None, "Folder above the runs.", flag_values=FLAGS)
OUTPUT = flags.DEFINE_string(
    "output", None, "File to write as well: .csv or .md.", flag_values=FLAGS
)
flags.mark_flags_as_required(["runs"], flag_values=FLAGS)


def execute():
    """Print the log of the folder that the flags name."""
    output = pathlib.Path(OUTPUT.value) if OUTPUT.value else None
    if output and output.suffix not in (".csv", ".md"):
        raise UserError(f"--output={output}: must end with .csv or .md")
    grid = log_grid(read_log(RUNS.value))
    if output and output.suffix == ".md":
        write_text(output, markdown([grid]))
    elif output:
        with atomic_path(output) as temporary:
            write_csv(
                temporary, [dict(zip(grid.headings, line, strict=True)) for line in grid.lines]
            )
    print(text(grid))


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
