"""Compare trained runs on films that differ from those of training, side by side.

  python -m experiments.studies.robustness_comparison --results=A,B,C --output=RESULTS

A, B and C are folders of experiments.studies.robustness, all of the same patients. Writes
robustness_comparison.md, a column a folder, and .json (where it comes from) to --output.
The last row is the mean over the kinds of films, by which a choice is made where the patients
are the validation patients.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from experiments.studies.robustness import define_perturbations, require_perturbations
from xctrs_tf import provenance
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.collection import without_folders
from xctrs_tf.evaluation.tables.grids import markdown
from xctrs_tf.evaluation.tables.study_tables import robustness_comparison_grid
from xctrs_tf.files import read_csv, read_json, write_json, write_text

FLAGS = flags.FlagValues()
RESULTS = flags.DEFINE_list(
    "results",
    None,
    "Folders of experiments.studies.robustness, separated by commas; their names head the columns.",
    flag_values=FLAGS,
)
PERTURBATION_NAMES = define_perturbations(FLAGS)
OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", flag_values=FLAGS)
flags.mark_flags_as_required(["results", "output"], flag_values=FLAGS)


def execute():
    """Write the table of all runs."""
    require_perturbations(PERTURBATION_NAMES.value)
    folders = [pathlib.Path(folder) for folder in RESULTS.value]
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise UserError("--results: two folders of one name; the columns need different names")
    origins = {name: _origin(folder) for name, folder in zip(names, folders, strict=True)}
    for name, origin in origins.items():
        for key in ("data_hash", "folds", "split", "seed"):
            first = origins[names[0]]
            if origin.get(key) != first.get(key):
                raise UserError(
                    f"--results: {name} has {key} {origin.get(key)}, and {names[0]} "
                    f"{first.get(key)}; compare runs on the same patients"
                )
    output = pathlib.Path(OUTPUT.value)
    cli.lock_output(output)
    results = {n: read_csv(f / "robustness.csv") for n, f in zip(names, folders, strict=True)}
    patients = {name: {line["id"] for line in lines} for name, lines in results.items()}
    for name, ids in patients.items():
        if ids != patients[names[0]]:
            raise UserError(
                f"--results: {name} has other patients than {names[0]}; compare runs on the same"
            )
    text = markdown([robustness_comparison_grid(results, PERTURBATION_NAMES.value)])
    first = origins[names[0]]
    own = provenance.collect(
        *(first[key] for key in ("n", "seed", "data_hash")),
        folds=first["folds"],
        split=first.get("split", "test"),
        steps={name: origin["steps"] for name, origin in origins.items()},
    )
    own["command"] = without_folders(own["command"], folders[0].resolve().parent)
    write_json(output / "robustness_comparison.json", own)
    write_text(output / "robustness_comparison.md", text)
    print(text)


def _origin(folder):
    path = folder / "robustness.json"
    try:
        origin = read_json(path)
        # Of one run, as written before there could be several.
        earlier = {"folds": [origin.get("fold")], "steps": [origin.get("step")]}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: missing or damaged; run experiments.studies.robustness"
        ) from error
    return earlier | origin


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
