"""One model under every protocol: how far conventions alone move PSNR and SSIM.

    python -m experiments.studies.protocols --workdir=RUN

RUN is a run, or a folder of the folds of one method, such as RUNS/table1-xctrsnet of
experiments.cross_validate: then each patient is reconstructed by the network of the fold
that tests them. Measures PSNR and SSIM of the run's reconstructions, and of the mean training
volume, under each protocol of xctrs_tf.metrics (docs/metrics.md). Writes to --output
protocols.csv (a line a patient and method), protocols.json (where it comes from) and
protocols.md (means and standard deviations), which it prints.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from experiments.common.run_flags import SPLITS, RunFlags
from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.evaluated_run import collect_origin, open_folds, run_name
from xctrs_tf.evaluation.patient import evaluate_protocols, write_cases_csv
from xctrs_tf.evaluation.tables.grids import markdown
from xctrs_tf.evaluation.tables.study_tables import patients_note, protocol_grid
from xctrs_tf.files import read_json, write_text
from xctrs_tf.models.catalogue import MEAN_VOLUME, XCTRSNET
from xctrs_tf.progress import progress_bar

FLAGS = flags.FlagValues()
RUN = RunFlags(
    FLAGS,
    ("workdir", "data", "split", "checkpoint", "output"),
    "Folder to write; by default WORKDIR/evaluation. Needed with --data, --checkpoint=last and a "
    "--split other than test.",
)


def execute():
    """Evaluate the runs under every protocol."""
    split = SPLITS[RUN.split.value]
    own = split == "test" and RUN.checkpoint.value == "best" and not RUN.data.value
    if not (own or RUN.output.value):
        raise UserError(
            "--output is missing: RUN/evaluation is for the test patients by the best weights; "
            "name a folder for others"
        )
    folds = open_folds(RUN.workdir.value, RUN.data.value, split)
    output = pathlib.Path(RUN.output.value or f"{RUN.workdir.value}/evaluation")
    cli.lock_output(output)
    cli.load_tensorflow()
    from xctrs_tf.training.run import load_run

    rows, steps = [], []
    for fold in folds:
        run = load_run(fold.folder, RUN.checkpoint.value)
        rows += protocol_rows(run, fold.cohort, run_name(run))
        steps.append(run.step)
    write_rows(output, rows, folds, steps, RUN.workdir.value)
    origin = read_json(output / "protocols.json")
    text = markdown([protocol_grid(rows, patients_note(origin))])
    write_text(output / "protocols.md", text)
    print(text, *(output / f"protocols.{kind}" for kind in ("csv", "json", "md")), sep="\n")


def protocol_rows(run, cohort, name=XCTRSNET):
    """Evaluate a run, and the mean of its training patients, under every protocol.

    Args:
        run: `xctrs_tf.training.run.Run`.
        cohort: `Cohort` of its fold.
        name: name of the method.

    Returns:
        List of dicts of `evaluate_protocols` with `method` and `fold`, two a patient; one
        where the training data are not at hand.

    Raises:
        UserError: the run has no reconstruction network.
    """
    if run.reconstruction is None:
        raise UserError(f"--workdir={run.path} reconstructs no CT: name a run that does")
    from xctrs_tf.training.prediction import predict_case

    average, _ = cohort.mean_volume()
    rows = []
    for patient in progress_bar(cohort.ids, unit="patient"):
        case = cohort.dataset.load(patient)
        ct_pred, _ = predict_case(run, case.id, network_arrays(case, run.config.film_normalization))
        volumes = {name: ct_pred} | ({} if average is None else {MEAN_VOLUME: average.ct})
        for method, ct in volumes.items():
            place = {"method": method, "fold": run.config.fold}
            rows.append({**place, **evaluate_protocols(case, ct)})
    return rows


def write_rows(output, rows, folds, steps, workdir):
    """Write `protocols.csv` and where it comes from.

    Args:
        output: `pathlib.Path` of the folder, which exists.
        rows: of `protocol_rows`.
        folds: list of the `EvaluatedFold` that they are of.
        steps: of their weights.
        workdir: folder of the runs, whose place on this machine is left out.
    """
    # Nothing is drawn: the seed is that of the training.
    origin = collect_origin(rows, folds, steps, workdir, folds[0].config.seed)
    write_cases_csv(output / "protocols.csv", rows, origin)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
