"""Reconstruct a neck with the model that comes with the package: what `make demo` runs.

    python -m experiments.demo

The two films and the CT of the neck come with the package, too. The model was not trained
on this patient. Each step is a command that works by itself; the demo prints it before it
runs.
"""

import pathlib
import sys
import time

from absl import flags

from experiments.common import cli
from experiments.common.commands import run_command
from experiments.demo.demo_folder import begin_output
from xctrs_tf.pretrained import DEFAULT, EXAMPLE

FLAGS = flags.FlagValues()
flags.DEFINE_string("output", "demo", "folder for everything the demo makes", flag_values=FLAGS)

# Marks a folder that a demo made; only such a folder is removed.
_MARK = ".xctrs-demo"


def execute():
    """Reconstruct the example, and compare it with its CT."""
    began = time.monotonic()
    output = pathlib.Path(FLAGS.output)
    cli.lock_output(output, beside=True)
    begin_output(output, _MARK)
    data, evaluation = output / "data", output / "evaluation"

    films = [f"--{view}={EXAMPLE / f'{view}.png'}" for view in ("ap", "la")]
    # The films show the cube of the CT and nothing beside it.
    run_command(
        "reconstruct",
        *films,
        "--crop=none",
        "--spacing_mm=2.5",
        f"--output={output / 'reconstruction'}",
    )
    cohort = [f"--input={EXAMPLE}", "--size=64", "--spacing_mm=2.5"]
    cohort += ["--label_name=pseudo-label Dice", "--workers=1"]
    run_command("prepare", "--source=nifti", *cohort, f"--output={data}")
    model = [f"--model={DEFAULT}", f"--data={data}", "--split=all", "--figures=1"]
    run_command("evaluate", *model, f"--output={evaluation}")

    print()
    for path in (*sorted(evaluation.glob("*.png")), output / "reconstruction" / "report.html"):
        print(path)
    print(f"The demo took {time.monotonic() - began:.0f} seconds.")


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
