"""Flags of the programs that predict with models."""

from absl import flags

from xctrs_tf.errors import UserError

GROUPS = {"Prediction": None}
EXIT_VERDICT_FAIL = 3


def define_mirror(flag_values):
    """Define --mirror on a program's flag values, and return the flag."""
    return flags.DEFINE_boolean(
        "mirror",
        False,
        "Predict the mirrored patient too, mirror the result back, and average CT and "
        "probabilities; takes twice the time. For films of parallel rays.",
        flag_values=flag_values,
    )


def define_strict(flag_values):
    """Define --strict on a program's flag values, and return the flag."""
    return flags.DEFINE_boolean(
        "strict",
        False,
        f'Exit with status {EXIT_VERDICT_FAIL} where the verdict of the quality checks is "fail".',
        flag_values=flag_values,
    )


def check_strict(strict, report):
    """Refuse --strict without the quality checks.

    Args:
        strict: flag of `define_strict`.
        report: the flag --report.

    Raises:
        UserError: which flag to leave out.
    """
    if strict.value and not report.value:
        raise UserError("--strict: needs the report's quality checks; leave --report=false out")


def strict_status(strict, verdicts):
    """Return the exit status of a program that wrote all of its results.

    Args:
        strict: flag of `define_strict`.
        verdicts: levels of the quality checks.

    Returns:
        0, or with --strict `EXIT_VERDICT_FAIL` where a verdict is ``"fail"``.
    """
    return EXIT_VERDICT_FAIL if strict.value and "fail" in verdicts else 0


def check_run_or_model(workdir, model, model_sha256, checkpoint):
    """Refuse flags that name both a run and an exported model, or neither.

    Args:
        workdir: the flag --workdir, as its definition returns it.
        model: --model, once or several times.
        model_sha256: --model_sha256, which is for exported models.
        checkpoint: --checkpoint, which is for runs.

    Raises:
        UserError: which flag to leave out.
    """
    if bool(workdir.value) == bool(model.value):
        raise UserError("--workdir, --model: give a run or an exported model, one of the two")
    if workdir.value and model_sha256.value:
        raise UserError("--model_sha256: is for --model; leave it out with --workdir")
    if model.value and checkpoint.present:
        raise UserError("--checkpoint: an exported model has one; leave it out with --model")
