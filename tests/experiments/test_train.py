"""The training program through its command line."""

import pathlib
import time

import pytest

from experiments.common import cli
from experiments.common.presets import preset_config
from tests.programs import rights_of_others, run_program
from tests.training.toys import toy_dataset
from xctrs_tf.data.dataset.mixture import open_parts
from xctrs_tf.training import loop
from xctrs_tf.training.run_folder import claim_workdir
from xctrs_tf.training.run_record import read_config


def _train(*flags):
    return run_program("train", *flags)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return toy_dataset(tmp_path_factory.mktemp("toy") / "data")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--workdir is missing"),
        (["--workdir=RUN"], "--data is missing"),
        (["--workdir=RUN", "--data=DATA", "--preset=huge"], "--preset=huge: one of paper, demo"),
        (["--workdir=RUN", "--data=DATA", "--sise=32"], "Unknown command line flag 'sise'"),
        (["--workdir=RUN", "--data=DATA", "--size=48"], "--size=48: must be one of 32, 64, 128"),
        (["--workdir=RUN", "--data=DATA", "--steps=0"], "--steps=0: must be above 0"),
        (["--workdir=RUN", "--data=DATA", "--steps=x"], "flag --steps=x"),
        (["--workdir=RUN", "--data=DATA", "--precision=int8"], "--precision=int8: must be one of"),
        (["--workdir=RUN", "--data=DATA", "--fpmath=int8"], "--fpmath=int8: must be one of"),
        (["--workdir=RUN", "--data=DATA", "--steps=2", "--epochs=2"], "exclude each other"),
        (["--workdir=RUN", "--data=DATA", "--mae_weight=-1"], "--mae_weight=-1.0: must be 0 or"),
        (["--workdir=RUN", "--data=EMPTY", "--epochs=2"], "no prepared data folder"),
        (["--workdir=RUN", "--data=DATA", "extra"], "unexpected argument 'extra'"),
    ],
)
def test_mistake_is_one_line_and_writes_nothing(tmp_path, data, flags, message):
    names = {"RUN": tmp_path / "run", "DATA": data, "EMPTY": tmp_path}
    flags = [flag.replace(name, str(path)) for flag in flags for name, path in [_name(flag, names)]]
    finished = _train(*flags)
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1
    assert finished.stderr.startswith("error: ")
    assert message in finished.stderr
    assert not (tmp_path / "run").exists()


def _name(flag, names):
    return next(((n, p) for n, p in names.items() if flag.endswith(f"={n}")), ("\0", ""))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--preset=demo", "--fold=9"], "fold 9"),
        (["--preset=half64"], "--size=64, but"),
        (["--preset=demo", "--vgg_weights=nowhere.h5"], "nowhere.h5: no such file"),
    ],
)
def test_mistake_that_needs_the_data_is_one_line_too(tmp_path, data, flags, message):
    finished = _train(f"--workdir={tmp_path / 'run'}", f"--data={data}", *flags)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: ")
    assert len(finished.stderr.splitlines()) == 1
    assert message in finished.stderr
    assert not (tmp_path / "run").exists()


def test_run_folder_of_another_configuration_is_one_line(tmp_path, data):
    run = tmp_path / "run"
    config = preset_config("demo", data=str(data), vgg_weight=0.0)
    claim_workdir(run, config, open_parts(str(data), 0))
    # It has a checkpoint.
    (run / "best").mkdir()
    before = (run / "config.json").read_bytes()
    flags = [f"--workdir={run}", f"--data={data}", "--preset=demo", "--vgg_weight=0"]
    finished = _train(*flags, "--learning_rate=0.5")
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1
    assert f"--learning_rate was {config.learning_rate} and is 0.5" in finished.stderr
    # The processor and the import come first, and may have something to say of it.
    *_, error = _train(*flags, "--fpmath=bfloat16").stderr.splitlines()
    assert "--fpmath was float32 and is bfloat16" in error
    assert {path.name for path in run.iterdir()} == {"best", "config.json"}
    assert (run / "config.json").read_bytes() == before


def test_a_run_finds_its_data_from_any_folder(tmp_path, data, monkeypatch):
    monkeypatch.chdir(data.parent)
    config = preset_config("demo", data=data.name)
    claim_workdir(tmp_path / "run", config, open_parts(data.name, 0))
    monkeypatch.chdir(tmp_path)
    assert read_config(tmp_path / "run").data == str(data)


def test_a_time_limit_counts_from_the_start(tmp_path, data, monkeypatch):
    moments = []
    monkeypatch.setattr(cli, "load_tensorflow", lambda _: moments.append(time.monotonic()))
    monkeypatch.setattr(loop, "train", lambda config, workdir, end: moments.append(end))
    finished = _train(f"--workdir={tmp_path / 'run'}", f"--data={data}", "--max_minutes=0.5")
    assert finished.returncode == 0, finished.stderr
    before_loading, end = moments
    assert before_loading < end < before_loading + 30.0


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize(("flags", "rights"), [([], {0}), (["--share"], {0o055})])
def test_only_the_user_reads_a_run_unless_it_is_shared(tmp_path, data, monkeypatch, flags, rights):
    run = tmp_path / "run"
    monkeypatch.setattr(loop, "train", lambda config, workdir, end: pathlib.Path(workdir).mkdir())
    finished = _train(f"--workdir={run}", f"--data={data}", *flags)
    assert finished.returncode == 0, finished.stderr
    assert rights_of_others(run) == rights


@pytest.mark.slow
def test_trains_the_real_networks_and_tells_when_all_is_done(tmp_path, data):
    flags = [
        f"--workdir={tmp_path / 'run'}",
        f"--data={data}",
        "--preset=demo",
        "--width=0.25",
        "--vgg_weights=random",
        "--vgg_layer=block1_conv1",
        "--vgg_slices=1",
    ]
    first = _train(*flags, "--steps=1")
    assert first.returncode == 0, first.stderr
    assert "starting: 5 patients to train on, 1 to validate, 2 held out" in first.stderr
    assert "RANDOM features" in first.stderr
    assert (tmp_path / "run" / "checkpoints" / "step-00000001").is_dir()
    again = _train(*flags, "--steps=1")
    assert again.returncode == 0
    assert "all 1 steps are done" in again.stderr
