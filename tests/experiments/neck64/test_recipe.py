"""The recipe of the model that comes with the package, and its packing."""

import json

import pytest
from absl import flags

from experiments.common import training_flags
from experiments.common.presets import preset_config
from experiments.common.shipping import stage_flags
from experiments.neck64 import train
from tests.programs import ROOT, assert_refused, run_program
from tests.quality.references import plain_reference
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.pretrained import EXPORTED_WEIGHTS
from xctrs_tf.reconstruction.exported_model import find_export


def config_of(stage):
    """Return the configuration that a stage's flags make."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    training_flags.define(values)
    values(["program", *stage_flags(stage, {"data": "NECKS", "phantoms": "PHANTOMS"}, "RUNS")])
    return preset_config("paper", **training_flags.given(values))


@pytest.mark.parametrize("stage", train.STAGES, ids=lambda stage: stage.name)
def test_every_stage_is_a_valid_training(stage):
    config_of(stage).check()


def test_stages_begin_with_earlier_ones_of_the_same_networks():
    done = {}
    for stage in train.STAGES:
        config = config_of(stage)
        for name in stage.begins_with:
            assert done[name].width == config.width and done[name].size == config.size
            assert f"RUNS/{name}" in config.initial_sources
        done[stage.name] = config
    last = config_of(train.STAGES[-1])
    assert last.has_own_reconstruction and last.uses_segmentation


def test_an_unknown_stage_is_refused():
    folders = ["--data=a", "--phantoms=b", "--workdir=c"]
    finished = run_program("neck64.train", *folders, "--stages=third")
    assert finished.returncode == 2
    assert "--stages=third: of phantoms, reconstruction" in finished.stderr


def test_packing_needs_figures_and_thresholds(tmp_path):
    finished = run_program("neck64.pack", f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}")
    assert finished.returncode == 2
    assert "cases.json: missing; run experiments.evaluate first" in finished.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def packing(tmp_path):
    """Flags of the packing of a run without weights to the folder `pretrained/neck64`."""
    for name in ("run/evaluation/cases.json", "run/quality.json", "pretrained/neck64/LICENSE"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return [f"--workdir={tmp_path / 'run'}", f"--license={ROOT / 'LICENSE'}"]


def test_packing_replaces_no_folder_of_other_files(packing, tmp_path):
    finished = run_program("neck64.pack", *packing, f"--output={tmp_path / 'pretrained'}")
    assert finished.returncode == 2
    assert "pretrained: holds other files; name another folder" in finished.stderr
    assert (tmp_path / "pretrained" / "neck64" / "LICENSE").is_file()


def test_one_packing_at_a_time(packing, tmp_path):
    output = tmp_path / "out"
    with folder_lock(output, beside=True):
        finished = run_program("neck64.pack", *packing, f"--output={output}")
    assert finished.returncode == 2
    assert f"{output}: process " in finished.stderr and "writes to it; wait" in finished.stderr


def calibration_of(sha256):
    return {**plain_reference(), "origin": {"model_sha256": sha256, "label_name": "Dice"}}


def pack_again(tmp_path, reference, *more):
    file = tmp_path / "quality.json"
    file.write_text(json.dumps(reference), encoding="utf-8")
    output = f"--output={tmp_path / 'packed'}"
    return run_program("neck64.pack", "--model=neck64", f"--quality={file}", output, *more)


def test_a_packed_model_gets_the_thresholds_of_a_new_calibration(tmp_path):
    export, packed = find_export("neck64"), tmp_path / "packed"
    reference = calibration_of(export.sha256)
    finished = pack_again(tmp_path, reference)
    assert finished.returncode == 0, finished.stderr
    renewed = find_export(packed)
    renewed.check_files()
    assert renewed.metadata["quality"] == reference
    unchanged = {**renewed.metadata, "quality": export.metadata["quality"]}
    assert unchanged == export.metadata
    for name in (EXPORTED_WEIGHTS, "LICENSE", "NOTICE"):
        assert (packed / name).read_bytes() == (export.path / name).read_bytes()
    card = (packed / "assets.extra" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "calibrated on 9 patients" in card
    # The thresholds are a part of the model: it is another one now.
    finished = run_program(
        "neck64.pack",
        f"--model={packed}",
        f"--quality={tmp_path / 'quality.json'}",
        f"--output={packed}",
    )
    assert finished.returncode == 2 and "of a model with the hash" in finished.stderr


def test_a_model_with_a_graph_keeps_its_thresholds(tmp_path, models):
    reference = calibration_of(find_export(models).sha256)
    finished = pack_again(tmp_path, reference, f"--model={models}")
    told = f"--model={models}: not weights alone, and a graph may keep"
    assert_refused(finished, told, tmp_path / "packed")


def test_thresholds_of_another_model_are_not_packed(tmp_path):
    finished = pack_again(tmp_path, calibration_of("0" * 64))
    assert finished.returncode == 2
    assert f"of a model with the hash {'0' * 64}, and neck64 has" in finished.stderr
    assert not (tmp_path / "packed").exists()
    finished = pack_again(tmp_path, calibration_of("0" * 64), f"--workdir={tmp_path}")
    assert "name either --workdir, or --model with --quality" in finished.stderr
