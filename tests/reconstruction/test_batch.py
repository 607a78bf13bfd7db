import csv
import json

import pytest

from xctrs_tf.errors import UserError
from xctrs_tf.quality.verdict import Finding, Verdict
from xctrs_tf.reconstruction.batch import Outcome, count_outcomes, prepare_output, run_batch
from xctrs_tf.reconstruction.batch_input import FilmPair

VERDICT = Verdict("review", [Finding("a", "review", "one"), Finding("b", "review", "two")], {}, {})


def pairs_of(*names, **options):
    return [FilmPair(name, {"ap": "ap.png", "la": "la.png"}, **options) for name in names]


def write(pair, folder):
    """Write the folder of a reconstruction; fail for the pair called bad."""
    if pair.id == "bad":
        raise UserError("ap.png:\nno such file")
    if pair.id == "full":
        raise OSError(28, "No space left on device")
    folder.mkdir(exist_ok=True)
    (folder / "reconstruction.json").write_text("{}", encoding="utf-8")
    report = {"quality": {"verdict": "pass", "findings": [{"reason": "three"}]}}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return VERDICT


def rows(folder):
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_a_bad_pair_does_not_stop_the_others(tmp_path, capsys):
    pairs = [
        *pairs_of("p1", "bad", "full"),
        *pairs_of("odd\n", problem="x\x1b[31m"),
        *pairs_of("p2"),
    ]
    outcomes = run_batch(pairs, tmp_path, write, overwrite=False)
    assert rows(tmp_path) == [
        ["id", "status", "verdict", "reasons"],
        ["p1", "done", "review", "one; two"],
        ["bad", "failed", "", "bad: ap.png: no such file"],
        ["full", "failed", "", "full: [Errno 28] No space left on device"],
        ["odd", "failed", "", "odd : x?[31m"],
        ["p2", "done", "review", "one; two"],
    ]
    assert capsys.readouterr().err.splitlines() == [
        "error: bad: ap.png: no such file",
        "error: full: [Errno 28] No space left on device",
        "error: odd : x?[31m",
    ]
    assert count_outcomes(outcomes) == "2 done, 0 skipped, 3 failed, verdict review: 2"


def test_finished_pairs_are_skipped_unless_overwritten(tmp_path):
    run_batch(pairs_of("p1"), tmp_path, write, overwrite=False)
    done = []

    def again(pair, folder):
        done.append(pair.id)
        return write(pair, folder)

    outcomes = run_batch(pairs_of("p1", "p2"), tmp_path, again, overwrite=False)
    assert outcomes[0] == Outcome("p1", "skipped", "pass", "three")
    assert done == ["p2"]
    run_batch(pairs_of("p1", "p2"), tmp_path, again, overwrite=True)
    assert done == ["p2", "p1", "p2"]


def test_a_folder_of_others_is_a_failed_pair(tmp_path):
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "mine.txt").write_text("mine", encoding="utf-8")
    (outcome,) = run_batch(pairs_of("p1"), tmp_path, write, overwrite=True)
    assert (outcome.status, "holds other files" in outcome.reasons) == ("failed", True)


def test_an_interruption_leaves_a_summary(tmp_path):
    def stop(pair, folder):
        if pair.id == "p2":
            raise KeyboardInterrupt
        return write(pair, folder)

    with pytest.raises(KeyboardInterrupt):
        run_batch(pairs_of("p1", "p2", "p3"), tmp_path, stop, overwrite=False)
    assert [row[0] for row in rows(tmp_path)] == ["id", "p1"]


def test_the_folder_of_a_batch(tmp_path):
    folder = prepare_output(tmp_path / "deep" / "out")
    run_batch(pairs_of("p1"), folder, write, overwrite=False)
    assert prepare_output(folder) == folder
    (folder / "summary.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"summary\.csv: was not written by this program"):
        prepare_output(folder)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: no folder to write to"):
        prepare_output(tmp_path / "file")
