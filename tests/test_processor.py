"""Features of the processor, and the 16-bit mode of oneDNN that is chosen before TensorFlow."""

import os
import subprocess
import sys
import types

import pytest

from xctrs_tf import processor

AMX = "fpu avx512f avx512_bf16 amx_bf16 amx_tile amx_int8"


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    """Return a function that gives the processor other features, or an unknown system."""
    monkeypatch.delenv(processor.FPMATH_VARIABLE, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    processor.warn_once.cache_clear()

    def with_features(features):
        file = tmp_path / "cpuinfo"
        if features is not None:
            file.write_text(f"processor\t: 0\nflags\t\t: {features}\n\n", encoding="utf-8")
        monkeypatch.setattr(processor, "CPU_INFO", file)

    yield with_features
    processor.warn_once.cache_clear()


@pytest.mark.parametrize(
    ("features", "amx", "bfloat16"),
    [
        (AMX, True, True),
        ("fpu avx512f avx512_bf16", False, True),
        ("fpu avx2 amx_int8 amx_tile", False, False),
        (None, None, None),
    ],
)
def test_features(cpu, features, amx, bfloat16):
    cpu(features)
    assert (processor.has_amx(), processor.has_bfloat16()) == (amx, bfloat16)


def test_another_system_tells_nothing(cpu, tmp_path):
    cpu(None)
    (tmp_path / "cpuinfo").write_text("Features : fp asimd bf16\n", encoding="utf-8")
    assert processor.has_amx() is None and processor.has_bfloat16() is None


@pytest.mark.parametrize(
    ("limit", "amx", "bfloat16"),
    [
        ("AVX512_CORE", False, False),
        ("AVX2", False, False),
        ("AVX512_CORE_BF16", False, True),
        ("AVX512_CORE_AMX", True, True),
        ("DEFAULT", True, True),
    ],
)
def test_features_that_onednn_may_not_use_do_not_count(cpu, monkeypatch, limit, amx, bfloat16):
    cpu(AMX)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert (processor.has_amx(), processor.has_bfloat16()) == (amx, bfloat16)


@pytest.mark.parametrize(
    ("features", "accelerated", "slow"),
    [("fpu", False, True), ("fpu", True, False), (AMX, False, False), (None, False, False)],
)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_bfloat16_is_slow_on_a_processor_without_it(
    cpu, monkeypatch, features, accelerated, slow, backend
):
    cpu(features)
    config = types.SimpleNamespace(list_physical_devices=lambda kind: [kind] * accelerated)
    fakes = {
        "tensorflow": types.SimpleNamespace(config=config),
        "jax": types.SimpleNamespace(default_backend=lambda: "gpu" if accelerated else "cpu"),
    }
    monkeypatch.setitem(sys.modules, backend, fakes[backend])
    assert processor.bfloat16_is_slow(backend) == slow


@pytest.mark.parametrize("features", [AMX, None])
def test_too_late_is_said_once_and_changes_nothing(cpu, caplog, features):
    cpu(features)
    for _ in range(2):
        processor.set_fpmath("bfloat16")
    (message,) = caplog.messages
    assert message.startswith("--fpmath=bfloat16: comes too late")
    assert processor.FPMATH_VARIABLE not in os.environ


def test_without_amx_it_changes_nothing(cpu, caplog):
    cpu("fpu avx512_bf16")
    processor.set_fpmath("bfloat16")
    (message,) = caplog.messages
    assert message == "--fpmath=bfloat16: changes nothing here, since this processor has no AMX"


def test_the_default_says_nothing(cpu, caplog):
    cpu(AMX)
    processor.set_fpmath("float32")
    assert not caplog.messages


@pytest.mark.parametrize(
    ("before", "fpmath", "after"),
    [(None, "bfloat16", "BF16"), ("BF16", "float32", None), ("BF16", None, "BF16")],
)
def test_the_mode_is_set_when_tensorflow_is_imported(tmp_path, before, fpmath, after):
    (tmp_path / "tensorflow.py").write_text(
        f"import os\nprint('seen', os.environ.get({processor.FPMATH_VARIABLE!r}))\n"
        "class config: list_physical_devices = list\n",
        encoding="utf-8",
    )
    program = (
        "import sys\nfrom experiments.common import cli\n"
        "cli._import_tensorflow = lambda quiet: __import__('tensorflow')\n"
        f"cli.load_tensorflow({fpmath!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop(processor.FPMATH_VARIABLE, None)
    environment.pop("KERAS_BACKEND", None)
    if before:
        environment[processor.FPMATH_VARIABLE] = before
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8"
    )
    assert ended.stdout == f"seen {after}\n", ended.stderr


@pytest.mark.parametrize(
    ("features", "value", "used"),
    [(AMX, "BF16", "bfloat16"), (AMX, None, "float32"), ("fpu", "BF16", "float32")],
)
def test_the_mode_that_is_used(cpu, monkeypatch, features, value, used):
    cpu(features)
    monkeypatch.delenv(processor.FPMATH_VARIABLE, raising=False)
    if value:
        monkeypatch.setenv(processor.FPMATH_VARIABLE, value)
    assert processor.used_fpmath() == used


def test_jax_has_no_such_mode(cpu, monkeypatch):
    from experiments.common import cli
    from xctrs_tf.errors import UserError

    cpu(AMX)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match="--fpmath=bfloat16: is an option of oneDNN in TensorFlow"):
        cli.load_tensorflow("bfloat16")
    cli.load_tensorflow("float32")
