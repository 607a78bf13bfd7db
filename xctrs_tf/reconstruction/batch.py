"""Batch of film pairs: skip finished ones, record failures, write summary.csv."""

import collections
import contextlib
import csv
import dataclasses
import io
import logging
import pathlib
import sys
import unicodedata

from tqdm import tqdm

from xctrs_tf.errors import UserError, one_line
from xctrs_tf.files import (
    atomic_path,
    make_folder,
    make_private,
    read_json,
    require_plain_file,
)
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.progress import progress_bar
from xctrs_tf.quality.checks import VERDICT_LEVELS
from xctrs_tf.reconstruction import check_output, is_finished
from xctrs_tf.reconstruction.batch_input import SUMMARY

# A spreadsheet program runs a cell that begins so.
_FORMULA_STARTS = "=+-@\t\r\n|%"
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


def prepare_output(folder, private=True):
    """Create the output folder of a batch.

    Args:
        folder: the folder; it may hold an earlier batch.
        private: as for `output_folder.write_reconstruction`.

    Returns:
        Its `pathlib.Path`.

    Raises:
        UserError: it cannot be made, or holds a summary.csv of another program.
    """
    folder = pathlib.Path(folder)
    summary = folder / SUMMARY
    make_folder(folder, private)
    try:
        require_plain_file(summary)
        header = ",".join(HEADER).encode()
        if summary.exists():
            with summary.open("rb") as stream:
                if stream.read(len(header)) != header:
                    raise UserError(f"{summary}: was not written by this program; move it away")
    except OSError as error:
        raise UserError(f"{summary}: cannot be read ({error.strerror})") from error
    return folder


def run_batch(
    pairs,
    folder,
    reconstruct,
    write,
    overwrite,
    private=True,
    reason_to_redo=lambda pair, folder: None,
):
    """Reconstruct every unfinished pair; record those that fail; write summary.csv.

    Lines of an earlier summary.csv stay, but for those of the pairs that are reached.

    Args:
        pairs: list of `FilmFiles`.
        folder: folder of `prepare_output`; each pair gets a folder in it.
        reconstruct: function from a pair to a result. Whatever it raises is one failed
            pair.
        write: function from the result and the pair's folder that writes the folder and
            returns a `Verdict` or None.
        overwrite: reconstruct finished pairs again.
        private: let no other user read summary.csv.
        reason_to_redo: function from a finished pair and its folder to why it cannot stand
            beside the others, which makes it a failed pair, or None.

    Returns:
        List of `Outcome`.

    Raises:
        UserError: an earlier summary.csv cannot be read.
        OSError: the output cannot be written. That ends the batch, since the next pair
            would fail alike.
    """
    earlier = _read_summary(folder / SUMMARY)
    outcomes = []
    try:
        for pair in progress_bar(pairs, unit="pair"):
            outcomes.append(_outcome(pair, folder, reconstruct, write, overwrite, reason_to_redo))
            if outcomes[-1].status == FAILED:
                tqdm.write(f"error: {outcomes[-1].reasons}", file=sys.stderr)
    finally:
        # Written after an interruption as well.
        _write_summary(folder / SUMMARY, earlier, outcomes, private)
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


def _outcome(pair, output, reconstruct, write, overwrite, reason_to_redo):
    with contextlib.ExitStack() as stack:
        try:
            if pair.problem:
                raise UserError(pair.problem)
            folder = output / pair.id
            if is_finished(folder) and not overwrite:
                if reason := reason_to_redo(pair, folder):
                    raise UserError(reason)
                return Outcome(pair.id, SKIPPED, *earlier_verdict(folder))
            # Somebody may reconstruct this pair alone.
            stack.enter_context(folder_lock(folder, beside=True))
            check_output(folder)
            result = reconstruct(pair)
        # A film may hold anything, and so may what the libraries make of it.
        except Exception as error:
            return _failed(pair, error)
        try:
            verdict = write(result, folder)
        except OSError:
            raise
        except Exception as error:
            return _failed(pair, error)
    return Outcome(pair.id, DONE, *((verdict.level, reasons(verdict)) if verdict else ()))


def _failed(pair, error):
    """Return the outcome of a pair that raised; its traceback is in the debug log."""
    expected = isinstance(error, (UserError, OSError))
    reason = str(error) if expected else f"{type(error).__name__}: {error}"
    logging.debug("%s", one_line(pair.id), exc_info=error)
    return Outcome(one_line(pair.id), FAILED, reasons=one_line(f"{pair.id}: {reason}"))


def earlier_verdict(folder):
    """Read verdict and reasons from the report of a finished reconstruction.

    Args:
        folder: `pathlib.Path` of the reconstruction.

    Returns:
        Verdict and reasons as of `Outcome`, both empty where there is no verdict.
    """
    try:
        quality = read_json(folder / "report.json")["quality"]
        found = one_line("; ".join(finding["reason"] for finding in quality["findings"]))
        return (quality["verdict"], found) if quality["verdict"] in VERDICT_LEVELS else ("", "")
    except (OSError, ValueError, LookupError, TypeError):
        return "", ""


def _read_summary(path):
    """Return the lines of an earlier summary.csv by their ids; none if there is no file."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            lines = [line for line in csv.reader(stream) if len(line) == len(HEADER)]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}); move it away") from error
    return {line[0]: line for line in lines[1:]}


def _write_summary(path, earlier, outcomes, private):
    lines = [list(map(_plain_cell, dataclasses.astuple(outcome))) for outcome in outcomes]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows({**earlier, **{line[0]: line for line in lines}}.values())
    with atomic_path(path) as temporary:
        temporary.write_text(stream.getvalue(), encoding="utf-8")
        if private:
            make_private(temporary)


def _plain_cell(text):
    """Mark a cell that a spreadsheet program would run as a formula."""
    # NFKC makes the wide forms of the signs plain.
    start = unicodedata.normalize("NFKC", text[:1])
    return f"'{text}" if start and start in _FORMULA_STARTS else text
