"""The precision of a run's networks on a processor without instructions for it."""

import dataclasses
import json

import keras
import pytest

from tests.training.toys import CONFIG, toy_config, toy_networks
from xctrs_tf import processor
from xctrs_tf.training import loop
from xctrs_tf.training import run as runs

SLOW = (
    "--precision=mixed_bfloat16: this processor has no instructions for bfloat16, so the networks "
    "compute in float32, which is faster here"
)


@pytest.fixture(autouse=True)
def built(monkeypatch):
    """Build toy networks with the policy of real ones; return the precisions set."""
    precisions = []

    def build(config):
        precisions.append(config.precision)
        keras.config.set_dtype_policy(config.precision)
        return toy_networks(config)

    for module in (loop, runs):
        monkeypatch.setattr(module, "build_networks", build)
    processor.warn_once.cache_clear()
    yield precisions
    processor.warn_once.cache_clear()


def _on(monkeypatch, has_bfloat16):
    monkeypatch.setattr(processor, "has_bfloat16", lambda: has_bfloat16)
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])


@pytest.mark.parametrize(
    ("has_bfloat16", "precision", "computed"),
    [
        (False, "mixed_bfloat16", "float32"),
        (True, "mixed_bfloat16", "mixed_bfloat16"),
        (None, "mixed_bfloat16", "mixed_bfloat16"),
        (False, "mixed_float16", "mixed_float16"),
        (False, "float32", "float32"),
    ],
)
def test_only_bfloat16_without_its_instructions_becomes_float32(
    monkeypatch, caplog, has_bfloat16, precision, computed
):
    _on(monkeypatch, has_bfloat16)
    config = dataclasses.replace(CONFIG, precision=precision)
    assert [runs.computed_precision(config) for _ in range(2)] == [computed] * 2
    assert caplog.messages == ([SLOW] if computed != precision else [])


def test_a_run_goes_on_on_another_processor_and_says_what_was_computed(
    data, tmp_path, monkeypatch, built
):
    run = tmp_path / "run"
    config = toy_config(data, precision="mixed_bfloat16")

    def record():
        return json.loads((run / "config.json").read_text(encoding="utf-8"))

    _on(monkeypatch, False)
    loop.train(dataclasses.replace(config, steps=2), run)
    assert record()["training"]["precision"] == "mixed_bfloat16"
    assert record()["computed_in"] == built == ["float32"]

    loaded = runs.load_run(run)
    assert (loaded.config.precision, loaded.computed_in) == ("mixed_bfloat16", ["float32"])
    asked = runs.load_run(run, precision="mixed_bfloat16")
    assert asked.computed_in == ["mixed_bfloat16"]

    _on(monkeypatch, True)
    loop.train(dataclasses.replace(config, steps=4), run)
    assert built[-1] == "mixed_bfloat16"
    assert record()["computed_in"] == ["float32", "mixed_bfloat16"]


def test_a_run_of_before_was_computed_in_its_own_precision(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    config = toy_config(data, precision="mixed_bfloat16", steps=1)
    _on(monkeypatch, True)
    loop.train(config, run)
    settings = run / "config.json"
    record = json.loads(settings.read_text(encoding="utf-8"))
    del record["computed_in"]
    settings.write_text(json.dumps(record), encoding="utf-8")
    _on(monkeypatch, False)
    loop.train(config, run)
    record = json.loads(settings.read_text(encoding="utf-8"))
    assert record["computed_in"] == ["float32", "mixed_bfloat16"]


@pytest.mark.parametrize(
    ("has_bfloat16", "computed"), [(True, "mixed_bfloat16"), (False, "float32")]
)
def test_vgg_computes_in_the_precision_of_the_networks(
    data, tmp_path, monkeypatch, has_bfloat16, computed
):
    policies, original = [], loop.make_objective

    def make(config):
        policies.append(keras.config.dtype_policy().name)
        return original(config)

    monkeypatch.setattr(loop, "make_objective", make)
    _on(monkeypatch, has_bfloat16)
    loop.train(toy_config(data, precision="mixed_bfloat16", steps=1), tmp_path / "run")
    assert policies == [computed]
