"""The handover of a cross-validation: what it holds, and how it is written."""

import contextlib
import shutil

import pytest

from tests.cross_validation.fake_runs import fake_run, files, write
from tests.cross_validation.handovers import DSN, HERE, VGG, hand_over, index_of
from xctrs_tf.cross_validation import handover
from xctrs_tf.cross_validation.handover import handed_over, handover_seconds
from xctrs_tf.cross_validation.jobs import Job
from xctrs_tf.errors import UserError
from xctrs_tf.folder_lock import folder_lock

pytestmark = pytest.mark.usefixtures("data_here")


def test_it_brings_what_another_machine_needs_and_nothing_else(there, tmp_path):
    write(there / "benchmark.json", "{}")
    fake_run(there, "table1-spadrnet/fold-01-seed-0")  # begun, without a checkpoint
    write(there / "table2-sit/fold-00-seed-0.json", '{"status": "failed", "error": "no memory"}')
    write(there / "other/notes.txt", "no job")
    hand_over(tmp_path / "handover", there)
    index = index_of(tmp_path / "handover")
    assert (index["done"], index["begun"], len(index["jobs"])) == (1, 1, 3)
    here = tmp_path / "here"
    hand_over(tmp_path / "handover", here)
    best = ["best/reconstruction.weights.h5", "best/state.json"]
    of_run = ["config.json", "history.jsonl"]
    newest = "checkpoints/step-00000020/"
    assert files(here) == sorted(
        [
            "benchmark.json",
            *(f"{VGG}{suffix}" for suffix in (".json", ".log")),
            *(f"{VGG}/{name}" for name in (*best, *of_run)),
            *(f"{VGG}/evaluation/{name}" for name in ("cases.csv", "cases.json", "table.md")),
            f"{DSN}.log",
            *(f"{DSN}/{name}" for name in (*best, *of_run)),
            *(f"{DSN}/{newest}{name}" for name in ("optimizer.npz", "state.json")),
            f"{DSN}/{newest}reconstruction.weights.h5",
            *(f"{DSN}/reconstruction_run/{name}" for name in (*best, "config.json")),
            *(f"table2-sit/fold-00-seed-0{suffix}" for suffix in (".json", ".log")),
        ]
    )
    for name in files(here):
        if not name.endswith("config.json") and name in files(there):
            assert (here / name).read_bytes() == (there / name).read_bytes(), name
    assert Job(here, "table1-vgg", 0, 0, ()).state() == "done"
    assert not [path for path in here.iterdir() if path.name.startswith(".")]


def test_weights_of_the_run_that_another_builds_on_are_stored_once(there, tmp_path):
    hand_over(tmp_path / "handover", there)
    copies = index_of(tmp_path / "handover")["copies"]
    weights = "best/reconstruction.weights.h5"
    assert copies[f"{DSN}/reconstruction_run/{weights}"] == f"{VGG}/{weights}"
    # One that was trained further meanwhile is not a copy any more.
    write(there / VGG / weights, "others")
    before = (there / DSN / "reconstruction_run" / weights).read_bytes()
    hand_over(tmp_path / "handover", there)
    hand_over(tmp_path / "handover", tmp_path / "here")
    assert (tmp_path / "here" / VGG / weights).read_bytes() == b"others"
    assert (tmp_path / "here" / DSN / "reconstruction_run" / weights).read_bytes() == before


def test_a_done_job_whose_folder_was_removed_is_taken_over_again(there, tmp_path):
    hand_over(tmp_path / "handover", there)
    shutil.rmtree(there / VGG)
    hand_over(tmp_path / "other", there)
    assert list(index_of(tmp_path / "other")["jobs"]) == [DSN]
    hand_over(tmp_path / "handover", there)
    assert Job(there, "table1-vgg", 0, 0, ()).state() == "done"
    assert index_of(tmp_path / "handover")["done"] == 1


def test_the_newest_whole_checkpoint_is_taken(there, tmp_path):
    write(there / DSN / "checkpoints/step-00000020/optimizer.npz", "damaged")
    hand_over(tmp_path / "handover", there)
    hand_over(tmp_path / "handover", tmp_path / "here")
    found = [path.name for path in (tmp_path / "here" / DSN / "checkpoints").iterdir()]
    assert found == ["step-00000010"]


def test_the_end_of_a_long_log_is_kept(there, tmp_path):
    write(there / f"{VGG}.log", b"x" * 300_000 + b"the end")
    hand_over(tmp_path / "handover", there)
    hand_over(tmp_path / "handover", tmp_path / "here")
    log = (tmp_path / "here" / f"{VGG}.log").read_bytes()
    assert len(log) == 100_000 and log.endswith(b"xthe end")


def test_it_is_written_however_the_work_ends(there, tmp_path):
    with contextlib.suppress(KeyboardInterrupt), handed_over(tmp_path / "new", there, HERE):
        assert not (tmp_path / "new" / "index.json").exists()
        raise KeyboardInterrupt
    assert index_of(tmp_path / "new")["begun"] == 1


def test_two_processes_do_not_share_it(there, tmp_path):
    with folder_lock(tmp_path / "handover"), pytest.raises(UserError, match="writes to it"):
        hand_over(tmp_path / "handover", there)


def test_a_job_that_runs_elsewhere_is_left_alone(there, tmp_path, caplog):
    hand_over(tmp_path / "handover", there)
    here = tmp_path / "here"
    fake_run(here, VGG, [80], dice_weight=0.0, rsc_weight=0.0)
    with folder_lock(here / VGG), pytest.raises(UserError, match="writes to it"):
        hand_over(tmp_path / "handover", here)
    assert (here / VGG / "logs").exists()
    with folder_lock(there / VGG, beside=True):
        hand_over(tmp_path / "other", there)
    assert "left out of the handover" in caplog.text
    assert list(index_of(tmp_path / "other")["jobs"]) == [DSN]


def test_what_a_killed_process_left_is_removed(there, tmp_path):
    hand_over(tmp_path / "handover", there)
    here = tmp_path / "here"
    write(here / ".taken-over.abcd_123" / "taken-over" / VGG / "config.json", "{}")
    write(here / VGG / "best" / ".state.json.abcd_123" / "state.json", "{}")
    hand_over(tmp_path / "handover", here)
    assert not [path for path in here.rglob(".*")]


def test_the_work_folder_is_no_handover(there):
    with pytest.raises(UserError, match="is the --workdir, too"):
        hand_over(there, there)


def test_a_refused_folder_is_left_as_it_is(there, tmp_path):
    write(tmp_path / "thesis" / "chapter.tex", "text")
    with pytest.raises(UserError, match=r"thesis: holds chapter.tex, so it is no handover"):
        hand_over(tmp_path / "thesis", there)
    assert files(tmp_path / "thesis") == ["chapter.tex"]


def test_the_time_to_write_it_grows_with_the_checkpoints(there, tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "_BYTES_A_SECOND", 1000.0)
    before = handover_seconds(there)
    write(there / VGG / "best" / "more.npz", bytes(5000))
    assert handover_seconds(there) == pytest.approx(before + 5)
    assert handover_seconds(tmp_path / "absent") > 0
