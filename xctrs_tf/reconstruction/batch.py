"""Batch of film pairs: skip finished ones, record failures, write summary.csv."""

import collections
import csv
import dataclasses
import io
import json
import pathlib
import sys

from tqdm import tqdm

from xctrs_tf.errors import UserError
from xctrs_tf.files import write_text
from xctrs_tf.reconstruction import check_output, is_finished
from xctrs_tf.reconstruction.batch_input import SUMMARY

HEADER = ("id", "status", "verdict", "reasons")
DONE, SKIPPED, FAILED = "done", "skipped", "failed"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Line of the summary.

    Attributes:
        id: id of the pair.
        status: ``"done"``, ``"skipped"`` or ``"failed"``.
        verdict: level of the quality checks; empty if there was no report.
        reasons: the error, or the findings of the checks.
    """

    id: str
    status: str
    verdict: str = ""
    reasons: str = ""


def prepare_output(folder):
    """Create the output folder of a batch.

    Args:
        folder: the folder; it may hold an earlier batch.

    Returns:
        Its `pathlib.Path`.

    Raises:
        UserError: it cannot be made, or holds a summary.csv of another program.
    """
    folder = pathlib.Path(folder)
    summary = folder / SUMMARY
    try:
        folder.mkdir(parents=True, exist_ok=True)
        header = ",".join(HEADER).encode()
        if summary.exists() and not summary.read_bytes().startswith(header):
            raise UserError(f"{summary}: was not written by this program; move it away")
    except OSError as error:
        raise UserError(f"{folder}: no folder to write to ({error.strerror})") from error
    return folder


def run_batch(pairs, folder, reconstruct, overwrite):
    """Reconstruct every unfinished pair; record those that fail; write summary.csv.

    Args:
        pairs: list of `FilmPair`.
        folder: folder of `prepare_output`; each pair gets a folder in it.
        reconstruct: function from a pair and its folder that writes the folder and
            returns a `Verdict` or None.
        overwrite: reconstruct finished pairs again.

    Returns:
        List of `Outcome`.
    """
    outcomes = []
    try:
        for pair in tqdm(pairs, unit="pair", disable=None):
            outcomes.append(_outcome(pair, folder / pair.id, reconstruct, overwrite))
            if outcomes[-1].status == FAILED:
                tqdm.write(f"error: {outcomes[-1].reasons}", file=sys.stderr)
    finally:
        # Written after an interruption as well.
        _write_summary(folder / SUMMARY, outcomes)
    return outcomes


def count_outcomes(outcomes):
    """Count the outcomes of a batch, in one line."""
    count = collections.Counter(outcome.status for outcome in outcomes)
    verdicts = collections.Counter(outcome.verdict for outcome in outcomes if outcome.verdict)
    parts = [f"{count[status]} {status}" for status in (DONE, SKIPPED, FAILED)]
    parts += [f"verdict {level}: {number}" for level, number in sorted(verdicts.items())]
    return ", ".join(parts)


def reasons(verdict):
    """Join the findings of the checks to one line."""
    return "; ".join(finding.reason for finding in verdict.findings)


def _outcome(pair, folder, reconstruct, overwrite):
    try:
        if pair.problem:
            raise UserError(pair.problem)
        if is_finished(folder) and not overwrite:
            return Outcome(pair.id, SKIPPED, *_earlier_verdict(folder))
        check_output(folder)
        verdict = reconstruct(pair, folder)
    # A full disk or a deleted folder must not stop the other pairs.
    except (UserError, OSError, MemoryError) as error:
        return Outcome(_printable(pair.id), FAILED, reasons=_printable(f"{pair.id}: {error}"))
    return Outcome(pair.id, DONE, *((verdict.level, reasons(verdict)) if verdict else ()))


def _earlier_verdict(folder):
    """Read verdict and reasons from the report of a finished reconstruction."""
    try:
        quality = json.loads((folder / "report.json").read_text(encoding="utf-8"))["quality"]
        return quality["verdict"], "; ".join(f["reason"] for f in quality["findings"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _printable(text):
    """Return text as one printable line, whatever characters a file name has."""
    text = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _write_summary(path, outcomes):
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(dataclasses.astuple(outcome) for outcome in outcomes)
    write_text(path, stream.getvalue())
