"""Many film pairs, one after the other: skipping, going on after a bad one, and the summary."""

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
    """A line of the summary.

    Attributes:
        id: the pair's.
        status: ``"done"``, ``"skipped"`` or ``"failed"``.
        verdict: level of the quality checks; empty if there was no report.
        reasons: why it failed, or what the checks found.
    """

    id: str
    status: str
    verdict: str = ""
    reasons: str = ""


def prepare_output(folder):
    """Make the folder of a batch.

    Args:
        folder: the folder; one of an earlier batch may be there.

    Returns:
        Its `pathlib.Path`.

    Raises:
        UserError: it cannot be made, or holds a foreign summary.csv.
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
    """Reconstruct every pair that is not finished yet, and write summary.csv.

    Args:
        pairs: list of `FilmPair`.
        folder: of `prepare_output`; a folder is made in it for each pair.
        reconstruct: function of a pair and its folder that writes it, and returns a
            `Verdict` or None.
        overwrite: do the finished ones again.

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
        # What was done before an interruption is told too.
        _write_summary(folder / SUMMARY, outcomes)
    return outcomes


def describe(outcomes):
    """One line that counts a batch's outcomes."""
    count = collections.Counter(outcome.status for outcome in outcomes)
    verdicts = collections.Counter(outcome.verdict for outcome in outcomes if outcome.verdict)
    parts = [f"{count[status]} {status}" for status in (DONE, SKIPPED, FAILED)]
    parts += [f"verdict {level}: {number}" for level, number in sorted(verdicts.items())]
    return ", ".join(parts)


def reasons(verdict):
    """What the checks found, in one line."""
    return "; ".join(finding.reason for finding in verdict.findings)


def _outcome(pair, folder, reconstruct, overwrite):
    try:
        if pair.problem:
            raise UserError(pair.problem)
        if is_finished(folder) and not overwrite:
            return Outcome(pair.id, SKIPPED, *_earlier_verdict(folder))
        check_output(folder)
        verdict = reconstruct(pair, folder)
    # A full disk or a folder that was taken away must not cost the other pairs.
    except (UserError, OSError, MemoryError) as error:
        return Outcome(_printable(pair.id), FAILED, reasons=_printable(f"{pair.id}: {error}"))
    return Outcome(pair.id, DONE, *((verdict.level, reasons(verdict)) if verdict else ()))


def _earlier_verdict(folder):
    """Verdict and reasons of a finished reconstruction's report, if it has one."""
    try:
        quality = json.loads((folder / "report.json").read_text(encoding="utf-8"))["quality"]
        return quality["verdict"], "; ".join(f["reason"] for f in quality["findings"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _printable(text):
    """One line that no file name can break, colour or make unprintable."""
    text = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _write_summary(path, outcomes):
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(dataclasses.astuple(outcome) for outcome in outcomes)
    write_text(path, stream.getvalue())
