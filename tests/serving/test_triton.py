"""Triton's model repository: model.py with a stand-in for its backend, and on the real server.

The real server runs where an environment has it, which TRITON_PYTHON names: the Python of an
environment with nvidia-pytriton, TensorFlow and NumPy below 2 (docs/serving.md).
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

from tests.export.runs import SIZE, toy_run
from tests.films import block_films
from tests.programs import run_program
from tests.quality.references import plain_reference
from xctrs_tf.data.films.film_writer import film_bytes, write_film
from xctrs_tf.errors import UserError
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.export.triton_repository import model_folder
from xctrs_tf.reconstruction import load
from xctrs_tf.serving.client import RetryPolicy
from xctrs_tf.serving.kserve_client import KserveClient
from xctrs_tf.serving.remote import RemoteReconstructor

STARTS_WITHIN_S = 180

# The part of Triton's module that model.py uses.
STUB = """
import numpy as np

class Tensor:
    def __init__(self, name, array):
        assert isinstance(array, np.ndarray)
        self.name, self.array = name, array

    def as_numpy(self):
        return self.array

class TritonError:
    INVALID_ARG, INTERNAL = 3, 1

    def __init__(self, text, code):
        self.text, self.code = text, code

class InferenceResponse:
    def __init__(self, output_tensors=(), error=None):
        self.tensors, self.error = output_tensors, error

class Request:
    def __init__(self, tensors, wanted):
        self.tensors, self.wanted = {t.name: t for t in tensors}, wanted

    def requested_output_names(self):
        return self.wanted

def get_input_tensor_by_name(request, name):
    return request.tensors.get(name)
"""
# Without this package, as the server runs it.
DRIVER = """
import json, sys
sys.modules["xctrs_tf"] = sys.modules["experiments"] = None
folder, version, pngs, output = sys.argv[1:]
sys.path.insert(0, f"{folder}/{version}")
import numpy as np, triton_python_backend_utils as pb
from model import TritonPythonModel
model = TritonPythonModel()
model.initialize({"model_repository": folder, "model_version": version,
                  "model_instance_kind": "CPU"})
assert sys.modules["jax"] is None
films = {n: np.frombuffer(a.tobytes(), np.uint8) for n, a in np.load(pngs).items()}
wanted = ["ct_hu", "segmentation", "metadata_json"]
def request(**changes):
    tensors = {**films, **changes}
    return pb.Request([pb.Tensor(n, a) for n, a in tensors.items() if a is not None], wanted)
bad = np.frombuffer(b"hello", np.uint8)
good, none, absent, same = model.execute(
    [request(), request(ap_bytes=bad), request(la_bytes=None), request()])
assert good.error is None and [t.name for t in good.tensors] == wanted
assert (none.error.text, none.error.code) == ("film: not a PNG picture", 3), none.error.text
assert absent.error.code == 1 and "\\n" not in absent.error.text
assert all((a.array == b.array).all() for a, b in zip(good.tensors, same.tensors))
np.savez(output, **{tensor.name: tensor.array for tensor in good.tensors})
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Model repository of a toy run with thresholds."""
    folder = tmp_path_factory.mktemp("triton")
    run = toy_run(folder / "run")
    (run.path / "quality.json").write_text(json.dumps(plain_reference()), encoding="utf-8")
    export_run(run, model_folder(folder / "repository"), file_format="triton")
    return folder / "repository"


def films():
    """Return films of which some grey values are rounded by 16 bits."""
    found = block_films()
    found["ap"] += np.linspace(0, 0.9, SIZE, dtype=np.float32)
    return found


def test_the_written_model_answers_as_the_library_does(repository, tmp_path):
    (tmp_path / "triton_python_backend_utils.py").write_text(STUB, encoding="utf-8")
    pngs = {f"{view}_bytes": np.array(film_bytes(f, view)) for view, f in films().items()}
    np.savez(tmp_path / "pngs.npz", **pngs)
    arguments = [repository / "xctrsnet", "1", tmp_path / "pngs.npz", tmp_path / "out.npz"]
    finished = subprocess.run(
        [sys.executable, "-c", DRIVER, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    outputs = np.load(tmp_path / "out.npz")
    local = load(repository / "xctrsnet")(**films(), spacing_mm=2.5)
    assert (outputs["ct_hu"].dtype, outputs["segmentation"].dtype) == (np.int16, np.uint8)
    np.testing.assert_allclose(outputs["ct_hu"], local.ct_hu[np.newaxis], rtol=0, atol=1)
    np.testing.assert_array_equal(outputs["segmentation"], local.segmentation[np.newaxis])
    assert json.loads(outputs["metadata_json"][0].tobytes())["quality"] == plain_reference()


def test_the_config_describes_the_outputs(repository):
    lines = (repository / "xctrsnet" / "config.pbtxt").read_text(encoding="utf-8").splitlines()
    tensors = [line.strip().rstrip(",") for line in lines if "data_type" in line]
    assert tensors == [
        '{ name: "ap_bytes" data_type: TYPE_UINT8 dims: [ -1 ] }',
        '{ name: "la_bytes" data_type: TYPE_UINT8 dims: [ -1 ] }',
        '{ name: "ct_hu" data_type: TYPE_INT16 dims: [ 1, 32, 32, 32 ] }',
        '{ name: "segmentation" data_type: TYPE_UINT8 dims: [ 1, 32, 32, 32 ] }',
        '{ name: "metadata_json" data_type: TYPE_UINT8 dims: [ 1, -1 ] }',
    ]
    assert 'backend: "python"' in lines and "max_batch_size: 0" in lines


def test_a_further_version_keeps_a_config_that_was_changed(tmp_path):
    folder = model_folder(tmp_path)
    run = toy_run(tmp_path / "run")
    export_run(run, folder, file_format="triton")
    config = folder / "config.pbtxt"
    changed = config.read_text(encoding="utf-8").replace("count: 1", "count: 2")
    config.write_text(changed, encoding="utf-8")
    assert export_run(run, folder, file_format="triton") == folder / "2"
    assert config.read_text(encoding="utf-8") == changed
    other = toy_run(tmp_path / "other", segmented=False)
    with pytest.raises(UserError, match=r"config\.pbtxt: describes the tensors of another model"):
        export_run(other, folder, file_format="triton")
    assert {path.name for path in folder.iterdir()} == {"1", "2", "config.pbtxt"}
    # The model without its server: every file is accounted for.
    assert load(folder)(**films(), spacing_mm=1.0).segmentation is not None


def test_a_folder_of_versions_is_no_repository(repository):
    with pytest.raises(UserError, match=r"xctrsnet: holds versions of a model, and"):
        model_folder(repository / "xctrsnet")


@pytest.fixture(scope="module")
def triton(repository, tmp_path_factory):
    """Address of the real server with the repository."""
    python = os.environ.get("TRITON_PYTHON")
    if not python:
        pytest.skip(
            "needs Triton: set TRITON_PYTHON to the Python of an environment with nvidia-pytriton, "
            "tensorflow and numpy<2 (docs/serving.md)"
        )
    folder = tmp_path_factory.mktemp("server")
    with triton_server(python, repository, folder) as address:
        yield address


@contextlib.contextmanager
def triton_server(python, repository, folder):
    """Run the server of an environment on loopback; yield its address."""
    code = "import importlib.util as i, sys; print('%d.%d' % sys.version_info[:2]); "
    code += "print(i.find_spec('pytriton').submodule_search_locations[0])"
    answer = subprocess.run([python, "-c", code], capture_output=True, encoding="utf-8", check=True)
    version, package = answer.stdout.splitlines()
    server = pathlib.Path(package, "tritonserver")
    # The backend wants the stub of one version of Python beside it.
    backends = shutil.copytree(server / "backends", folder / "backends")
    stub = "triton_python_backend_stub"
    shutil.copy(server / "python_backend_stubs" / version / stub, backends / "python" / stub)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    host, _, port = address.partition(":")
    flags = [f"--model-repository={repository}", f"--backend-directory={backends}"]
    flags += [f"--http-address={host}", f"--http-port={port}"]
    flags += ["--allow-grpc=false", "--allow-metrics=false"]
    env = dict(os.environ)
    env["PATH"] = f"{pathlib.Path(python).absolute().parent}:{env['PATH']}"
    env["LD_LIBRARY_PATH"] = str(pathlib.Path(package).with_name("nvidia_pytriton.libs"))
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [server / "bin" / "tritonserver", *flags], env=env, stdout=file, stderr=file
        )
    try:
        wait_until_ready(process, address, log)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(process, address, log):
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://{address}/v2/models/xctrsnet/ready", timeout=5).close()
            return
        time.sleep(0.5)
    pytest.fail(f"Triton does not start: {log.read_text(encoding='utf-8')[-3000:]}")


@pytest.mark.slow
def test_the_real_server_answers_as_the_library_does(triton, repository):
    local = load(repository / "xctrsnet")(**films(), spacing_mm=2.5)
    client = KserveClient(triton, "xctrsnet", RetryPolicy(60.0, 0))
    reconstructor = RemoteReconstructor(client)
    for sends_bytes in (True, False):
        assert client._sends_bytes
        client._sends_bytes = sends_bytes
        remote = reconstructor(**films(), spacing_mm=2.5)
        np.testing.assert_allclose(remote.ct_hu, local.ct_hu, rtol=0, atol=1)
        np.testing.assert_array_equal(remote.segmentation, local.segmentation)
        assert reconstructor.metadata["quality"] == plain_reference()


@pytest.mark.slow
def test_the_real_server_refuses_in_one_line(triton):
    client = KserveClient(triton, "xctrsnet", RetryPolicy(60.0, 0))
    shapes = client.output_shapes("serving_bytes")
    wanted = {"ct_hu": shapes["ct_hu"][1:]}
    with pytest.raises(UserError, match=r"xctrsnet: .*film: not a PNG picture \(status 400\)"):
        client.predict("serving_bytes", {"ap_bytes": b"hello", "la_bytes": b"hello"}, wanted)
    with pytest.raises(UserError, match=r"other: .*unknown model.* \(status 40\d\)"):
        RemoteReconstructor(KserveClient(triton, "other", RetryPolicy(60.0, 0)))


@pytest.mark.slow
def test_the_program_reaches_the_verdict_on_the_real_server(triton, repository, tmp_path):
    for view, film in films().items():
        write_film(tmp_path / f"{view}.png", film, view)
    flags = [f"--{view}={tmp_path / view}.png" for view in ("ap", "la")]
    flags += ["--spacing_mm=2.5", "--nocheck_views"]
    model = repository / "xctrsnet"
    local = run_program("reconstruct", *flags, f"--model={model}", f"--output={tmp_path}/a")
    server = (f"--server={triton}", "--protocol=kserve")
    remote = run_program("serve_client", *flags, *server, f"--output={tmp_path}/b")
    assert (local.returncode, remote.returncode) == (0, 0), remote.stderr
    reports = [tmp_path / name / "report.json" for name in ("a", "b")]
    here, there = (json.loads(report.read_text(encoding="utf-8")) for report in reports)
    assert here["quality"]["verdict"] == there["quality"]["verdict"]
    assert here["training"] == there["training"]
