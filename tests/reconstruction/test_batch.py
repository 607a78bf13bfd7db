import csv
import json
import os

import pytest

from xctrs_tf.errors import UserError
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.quality.verdict import Finding, Verdict
from xctrs_tf.reconstruction.batch import (
    Outcome,
    count_outcomes,
    earlier_verdict,
    prepare_output,
    run_batch,
)
from xctrs_tf.reconstruction.batch_input import FilmFiles

VERDICT = Verdict("review", [Finding("a", "review", "one"), Finding("b", "review", "two")], {}, {})


def pairs_of(*names, **options):
    return [FilmFiles(name, {"ap": "ap.png", "la": "la.png"}, **options) for name in names]


def reconstruct(pair):
    """Return the id; fail for some."""
    errors = {
        "bad": UserError("ap.png:\nno such file"),
        "away": OSError(5, "Input/output error"),
        "odd": ValueError("Unable to convert 'unknown' to 'DA' object\n"),
        "deep": RecursionError("maximum recursion depth exceeded"),
        "large": MemoryError(),
    }
    if pair.id in errors:
        raise errors[pair.id]
    return pair.id


def write(result, folder):
    """Write the folder of a reconstruction."""
    if result == "full":
        raise OSError(28, "No space left on device")
    if result == "unwritten":
        raise ZeroDivisionError("division by zero")
    folder.mkdir(exist_ok=True)
    (folder / "reconstruction.json").write_text("{}", encoding="utf-8")
    report = {"quality": {"verdict": "pass", "findings": [{"reason": "three"}]}}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return VERDICT


def run(pairs, folder, write=write, overwrite=False, **options):
    return run_batch(pairs, folder, reconstruct, write, overwrite, **options)


def test_a_pair_that_another_process_reconstructs_fails_and_the_others_go_on(tmp_path):
    with folder_lock(tmp_path / "a", beside=True):
        (tmp_path / ".a.abcd1234").mkdir()
        outcomes = run(pairs_of("a", "b"), tmp_path)
        assert (tmp_path / ".a.abcd1234").exists()
    assert [each.status for each in outcomes] == ["failed", "done"]
    assert "writes to it; wait until that ends, or stop it" in outcomes[0].reasons


def test_a_pair_is_locked_until_it_is_written(tmp_path):
    def write_locked(result, folder):
        with pytest.raises(UserError, match="writes to it"), folder_lock(folder, beside=True):
            pass
        return write(result, folder)

    assert run(pairs_of("a"), tmp_path, write_locked)[0].status == "done"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "summary.csv"]


def rows(folder):
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_the_others_go_on_after_any_exception_of_a_pair(tmp_path, capsys):
    failing = ("bad", "away", "odd", "deep", "large", "unwritten")
    pairs = [*pairs_of("p1", *failing), *pairs_of("c\n", problem="x\x1b[31m"), *pairs_of("p2")]
    outcomes = run(pairs, tmp_path)
    lines = {
        "bad": "ap.png: no such file",
        "away": "[Errno 5] Input/output error",
        "odd": "ValueError: Unable to convert 'unknown' to 'DA' object",
        "deep": "RecursionError: maximum recursion depth exceeded",
        "large": "MemoryError:",
        "unwritten": "ZeroDivisionError: division by zero",
        "c": "x?[31m",
    }
    assert rows(tmp_path) == [
        ["id", "status", "verdict", "reasons"],
        ["p1", "done", "review", "one; two"],
        *([name, "failed", "", f"{name}: {lines[name]}"] for name in failing),
        ["c", "failed", "", "c : x?[31m"],
        ["p2", "done", "review", "one; two"],
    ]
    errors = capsys.readouterr().err.splitlines()
    assert errors == [f"error: {row[3]}" for row in rows(tmp_path) if row[1] == "failed"]
    assert count_outcomes(outcomes) == "2 done, 0 skipped, 7 failed, verdict review: 2"


def test_an_output_that_cannot_be_written_ends_the_batch(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        run(pairs_of("p1", "full", "p2"), tmp_path)
    assert [row[0] for row in rows(tmp_path)] == ["id", "p1"]


def test_no_cell_of_the_summary_is_a_formula(tmp_path):
    names = ["=1+1", "@SUM(A1)", "-2+3|cmd", "+7", "＝1", "plain"]
    run([pair for name in names for pair in pairs_of(name, problem="no film")], tmp_path)
    marked = [f"'{name}" for name in names[:-1]] + ["plain"]
    assert [row[0] for row in rows(tmp_path)[1:]] == marked
    assert rows(tmp_path)[1][3] == "'=1+1: no film"


def test_finished_pairs_are_skipped_unless_overwritten(tmp_path):
    run(pairs_of("p1"), tmp_path)
    done = []

    def again(result, folder):
        done.append(result)
        return write(result, folder)

    outcomes = run(pairs_of("p1", "p2"), tmp_path, again)
    assert outcomes[0] == Outcome("p1", "skipped", "pass", "three")
    assert done == ["p2"]
    run(pairs_of("p1", "p2"), tmp_path, again, overwrite=True)
    assert done == ["p2", "p1", "p2"]


@pytest.mark.parametrize(
    "quality",
    [
        None,
        [],
        {"verdict": 5, "findings": []},
        {"verdict": ["pass"], "findings": []},
        {"verdict": "\x1b[2J", "findings": []},
        {"verdict": "pass", "findings": [{"reason": 7}]},
        {"verdict": "pass", "findings": [["reason"]]},
    ],
)
def test_an_earlier_report_with_odd_values_is_left_out(tmp_path, quality):
    run(pairs_of("p1"), tmp_path)
    (tmp_path / "p1" / "report.json").write_text(json.dumps({"quality": quality}), encoding="utf-8")
    assert run(pairs_of("p1"), tmp_path) == [Outcome("p1", "skipped")]


def test_a_finished_pair_with_a_reason_to_redo_it_fails(tmp_path):
    run(pairs_of("p1", "p2"), tmp_path)

    def reason_to_redo(pair, folder):
        assert folder == tmp_path / pair.id
        return "other films" if pair.id == "p2" else None

    first, second = run(pairs_of("p1", "p2"), tmp_path, reason_to_redo=reason_to_redo)
    assert first.status == "skipped"
    assert second == Outcome("p2", "failed", reasons="p2: other films")
    outcomes = run(pairs_of("p1", "p2"), tmp_path, overwrite=True, reason_to_redo=reason_to_redo)
    assert [each.status for each in outcomes] == ["done"] * 2


def test_the_verdict_of_a_finished_pair(tmp_path):
    run(pairs_of("p1"), tmp_path)
    assert earlier_verdict(tmp_path / "p1") == ("pass", "three")
    (tmp_path / "p1" / "report.json").unlink()
    assert earlier_verdict(tmp_path / "p1") == ("", "")


def test_a_folder_of_others_is_a_failed_pair(tmp_path):
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "mine.txt").write_text("mine", encoding="utf-8")
    (outcome,) = run(pairs_of("p1"), tmp_path, overwrite=True)
    assert (outcome.status, "holds other files" in outcome.reasons) == ("failed", True)


def test_an_interruption_leaves_a_summary(tmp_path):
    def stop(result, folder):
        if result == "p2":
            raise KeyboardInterrupt
        return write(result, folder)

    with pytest.raises(KeyboardInterrupt):
        run(pairs_of("p1", "p2", "p3"), tmp_path, stop)
    assert [row[0] for row in rows(tmp_path)] == ["id", "p1"]


def test_lines_of_pairs_that_are_not_reached_stay_in_the_summary(tmp_path):
    run([*pairs_of("p1", "p2"), *pairs_of("=1", problem="no film")], tmp_path)

    def stop(result, folder):
        if result == "p2":
            raise KeyboardInterrupt
        return write(result, folder)

    with pytest.raises(KeyboardInterrupt):
        run(pairs_of("p0", "p1", "p2", "=1"), tmp_path, stop, overwrite=True)
    done = ["done", "review", "one; two"]
    assert rows(tmp_path)[1:] == [
        ["p1", *done],
        ["p2", *done],
        ["'=1", "failed", "", "'=1: no film"],
        ["p0", *done],
    ]
    # The lines of a second table replace those of the same ids alone.
    outcomes = run(pairs_of("p2", "=1"), tmp_path)
    assert [row[:2] for row in rows(tmp_path)[1:]] == [
        ["p1", "done"],
        ["p2", "skipped"],
        ["'=1", "done"],
        ["p0", "done"],
    ]
    assert count_outcomes(outcomes).startswith("1 done, 1 skipped, 0 failed")


def test_an_earlier_summary_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "summary.csv").write_bytes(b"id,status,verdict,reasons\n\xff,done,,\n")
    with pytest.raises(UserError, match=r"summary\.csv: cannot be read .*; move it away"):
        run(pairs_of("p1"), tmp_path)
    assert not (tmp_path / "p1").exists()


def test_the_folder_of_a_batch(tmp_path):
    folder = prepare_output(tmp_path / "deep" / "out")
    run(pairs_of("p1"), folder)
    assert prepare_output(folder) == folder
    (folder / "summary.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"summary\.csv: was not written by this program"):
        prepare_output(folder)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: cannot be made"):
        prepare_output(tmp_path / "file")


def test_a_pipe_in_place_of_the_summary_is_refused(tmp_path):
    os.mkfifo(tmp_path / "summary.csv")
    with pytest.raises(UserError, match=r"summary\.csv: a pipe or a device"):
        prepare_output(tmp_path)


def permissions(path):
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(("private", "allowed"), [(True, (0o700, 0o600)), (False, (0o755, 0o644))])
def test_only_the_user_may_read_a_batch_unless_it_is_shared(tmp_path, private, allowed):
    mask = os.umask(0o022)
    try:
        folder = prepare_output(tmp_path / "out", private)
        run_batch(pairs_of("p1"), folder, reconstruct, write, False, private)
    finally:
        os.umask(mask)
    assert (permissions(folder), permissions(folder / "summary.csv")) == allowed
