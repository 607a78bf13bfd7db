"""Errors of the operating system in any program: one line, status 2."""

import errno
import os
import subprocess
import sys

import pytest
from absl import flags

from experiments.common import cli
from tests.programs import ROOT

FLAGS = flags.FlagValues()


def _run(execute):
    execute.__module__ = __name__
    return cli.run(execute, FLAGS, [])


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device; free space on that disk"),
        (errno.EROFS, "Read-only file system; choose another place"),
        (errno.EACCES, "Permission denied; choose another place, or change its permissions"),
        (errno.EIO, "Input/output error"),
        (errno.ENOENT, "No such file or directory; check the path"),
    ],
)
def test_an_error_of_the_system_is_one_line_with_the_file(capsys, number, words):
    def execute():
        raise OSError(number, os.strerror(number), "DATA/manifest.json")

    assert _run(execute) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: DATA/manifest.json: {words}")


def test_an_error_of_a_library_is_one_line(capsys):
    def execute():
        raise OSError("Unable to write\n(file write failed: errno = 28, buf = 0x12)")

    assert _run(execute) == 2
    assert capsys.readouterr().err.startswith("error: No space left on device; free space")


class ResourceExhaustedError(Exception):
    """Error of the name of TensorFlow's."""


class JaxRuntimeError(Exception):
    """Error of the name of JAX's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("Graph execution error:\n\nOOM when allocating tensor [1,2]"),
        ResourceExhaustedError("failed to allocate memory [Op:Conv3D]"),
        JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 5 bytes"),
    ],
)
def test_full_memory_is_one_line_with_the_remedy(capsys, error):
    def execute():
        raise error

    assert _run(execute) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the memory is full (") and "--remat" in line


def test_another_error_of_a_network_is_a_fault_of_the_program():
    def execute():
        raise ResourceExhaustedError("x.data; No space left on device")

    with pytest.raises(ResourceExhaustedError):
        _run(execute)


def test_what_is_printed_to_a_full_disk_is_an_error_too():
    program = (
        "import sys\n"
        "from absl import flags\n"
        "from experiments.common import cli\n"
        "def execute(): print('the result')\n"
        "sys.exit(cli.run(execute, flags.FlagValues(), []))"
    )
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=-1, cwd=ROOT, encoding="utf-8"
        )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert "No space left on device; free space on that disk" in ended.stderr


def test_a_program_keeps_its_output_until_it_ends_even_inside_another(tmp_path, capsys):
    def inner():
        cli.lock_output(tmp_path / "inner")
        cli.lock_output(tmp_path / "outer")

    def outer():
        cli.lock_output(tmp_path / "outer")
        (tmp_path / "file").touch()
        cli.lock_output(tmp_path / "file", beside=True)
        assert _run(inner) == 2
        assert {path.name for path in tmp_path.iterdir()} == {"outer", "file", ".file.lock"}

    assert _run(outer) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert f"outer: process {os.getpid()} on" in line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_tensorflow_is_loaded_without_packages_that_it_may_do_without():
    program = (
        "import gc, sys; from experiments.common import cli; cli.load_tensorflow(); "
        "assert 'keras' in sys.modules; "
        "assert not {'jax', 'matplotlib'} & set(sys.modules), 'loaded'; "
        "assert gc.isenabled(); import matplotlib.figure"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize("package", ["SimpleITK", "pydicom", "tensorflow"])
def test_a_package_that_jax_does_without_is_named_in_one_line(monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert _run(lambda: __import__(package)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"needs {package}, which is not installed" in line


def test_another_missing_module_is_a_fault_of_the_program(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ModuleNotFoundError):
        _run(lambda: __import__("tqdm"))


@pytest.mark.parametrize(
    ("backend", "argv", "calls"),
    [("jax", [], 1), ("jax", ["--help"], 0), ("tensorflow", [], 0), (None, [], 0)],
)
def test_what_jax_compiles_is_kept(monkeypatch, backend, argv, calls):
    found = []
    monkeypatch.setattr(cli, "keep_compilations", lambda: found.append(1))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if backend:
        monkeypatch.setenv("KERAS_BACKEND", backend)

    def execute():
        assert len(found) == calls

    execute.__module__ = __name__
    assert cli.run(execute, FLAGS, argv) == 0
    assert len(found) == calls
