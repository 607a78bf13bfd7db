"""The recipe of the network of experiments.segment."""

import pytest
from absl import flags

from experiments.common import shipping, training_flags
from experiments.common.presets import preset_config
from experiments.segment import train
from tests.programs import run_program

FOLDERS = {"data": "NECKS", "phantoms": "PHANTOMS", "fine_phantoms": "FINE"}


def config_of(stage, **folders):
    """Return the configuration that the flags of a stage make."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    training_flags.define(values)
    values(["program", *shipping.stage_flags(stage, FOLDERS | folders, "RUNS")])
    return preset_config("paper", **training_flags.given(values))


@pytest.mark.parametrize("stage", train.STAGES, ids=lambda stage: stage.name)
def test_every_stage_trains_the_segmentation_alone(stage):
    config = config_of(stage)
    config.check()
    assert not config.reconstructs and config.uses_segmentation
    assert "cubes" in config.augment
    # As neck64, with whose weights the first one begins, and whose test patients they keep.
    assert (config.size, config.width, config.fold) == (64, 0.5, 9)


def test_the_stages_follow_each_other():
    first, second, third = map(config_of, train.STAGES)
    assert first.data == "NECKS:0.8,PHANTOMS:0.2" and first.initial_sources == ("neck64",)
    assert second.data == "NECKS:0.85,PHANTOMS:0.15" and second.initial_sources == ("RUNS/cubes",)
    assert third.data == "NECKS:0.85,PHANTOMS:0.05,FINE:0.1"
    assert third.initial_sources == ("RUNS/necks",)


def test_phantoms_can_be_left_out():
    for stage in train.STAGES:
        config = config_of(stage, phantoms=None, fine_phantoms=None)
        config.check()
        assert config.data == "NECKS"
    assert config_of(train.STAGES[2], fine_phantoms=None).data == "NECKS:0.85,PHANTOMS:0.05"


def test_the_program_runs_experiments_train(monkeypatch):
    commands = []
    monkeypatch.setattr(shipping, "run_command", lambda *arguments: commands.append(arguments))
    folders = ["--data=a", "--phantoms=b", "--workdir=c"]
    assert run_program("segment.train", *folders).returncode == 0
    assert [each[0] for each in commands] == ["train"] * 3
    named = {"data": "a", "phantoms": "b", "fine_phantoms": None}
    assert commands[1][1:] == tuple(shipping.stage_flags(train.STAGES[1], named, "c"))
    assert run_program("segment.train", *folders, "--stages=necks").returncode == 0
    assert commands[3:] == commands[1:2]


@pytest.mark.parametrize("missing", ["data", "workdir"])
def test_folders_must_be_named(missing):
    given = [f"--{name}=x" for name in ("data", "workdir") if name != missing]
    finished = run_program("segment.train", *given)
    assert finished.returncode == 2
    assert f"--{missing}" in finished.stderr
