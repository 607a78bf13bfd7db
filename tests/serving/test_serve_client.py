"""The client with servers of all protocols."""

import http.server
import pathlib
import socket
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.export.runs import SIZE, toy_run
from tests.films import BLOCK, block_films
from tests.neck_finder.phantom_films import phantom_films
from tests.programs import assert_refused, rights_of_others, run_program
from tests.serving.serving_apis import (
    MODEL,
    StubModel,
    grpc_server,
    http_server,
    kserve_server,
    rest_server,
)
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.errors import UserError
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.reconstruction import load
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.serving import client as client_module
from xctrs_tf.serving.client import RetryPolicy
from xctrs_tf.serving.kserve_client import KserveClient
from xctrs_tf.serving.remote import RemoteReconstructor
from xctrs_tf.serving.rest_client import RestClient

pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
from xctrs_tf.serving.grpc_client import GrpcClient

KINDS = {
    "grpc": (grpc_server, GrpcClient),
    "rest": (rest_server, RestClient),
    "kserve": (kserve_server, KserveClient),
}


@pytest.fixture(scope="module")
def exported(models):
    return find_export(models)


@pytest.fixture(scope="module")
def signatures(exported):
    return exported.load_signatures()


@pytest.fixture
def model(signatures):
    return StubModel(signatures)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_DELAY_S", 0.1)


@pytest.fixture(params=KINDS)
def client(request, model):
    """A client of a running server."""
    start, client_type = KINDS[request.param]
    with start(model) as address:
        yield client_type(address, MODEL, RetryPolicy(timeout_s=120.0, retries=2))


def test_a_server_answers_as_the_library_does(client, exported):
    reconstructor = RemoteReconstructor(client)
    assert reconstructor.size == SIZE
    films = block_films()
    # Grey values of which 16 bits round some.
    films["ap"] += np.linspace(0, 0.9, SIZE, dtype=np.float32)
    remote = reconstructor(**films, spacing_mm=2.5)
    local = load(exported.path)(**films, spacing_mm=2.5)
    assert (remote.ct_hu.dtype, remote.segmentation.dtype) == (np.int16, np.uint8)
    assert (local.ct_hu[BLOCK] == 1500).all() and (local.ct_hu < 0).any()
    np.testing.assert_allclose(remote.ct_hu, local.ct_hu, rtol=0, atol=1)
    np.testing.assert_array_equal(remote.segmentation, local.segmentation)
    assert (remote.spacing_mm, remote.origin_mm) == (local.spacing_mm, local.origin_mm)


def test_the_client_equalizes_films_as_the_served_model_does(tmp_path):
    run = toy_run(tmp_path / "run", gain=0.5, segmented=False, film_normalization="equalized")
    exported = find_export(export_run(run, tmp_path / "models"))
    rng = np.random.default_rng(0)
    # Most grey values lie so close together that 16 bits of the film itself would mix them up.
    films = {view: rng.random((SIZE, SIZE)) ** 9 for view in ("ap", "la")}
    with rest_server(StubModel(exported.load_signatures())) as address:
        reconstructor = RemoteReconstructor(RestClient(address, MODEL, RetryPolicy(60.0, 0)))
        assert reconstructor.film_normalization == "equalized"
        remote = reconstructor(**films, spacing_mm=1.0)
    local = load(exported.path)(**films, spacing_mm=1.0)
    np.testing.assert_array_equal(remote.ct_hu, local.ct_hu)


def test_answers_over_the_4_mb_that_grpc_takes_by_default():
    shape = (1, 128, 128, 128)

    class Large:
        structured_outputs = {"ct_hu": tf.TensorSpec((None, *shape[1:]), tf.int16)}  # noqa: RUF012

        def __call__(self, **pngs):
            # The server needs ten bytes for each of these values.
            return {"ct_hu": tf.fill(shape, tf.constant(-1, tf.int16))}

    films = {view: np.arange(128.0**2).reshape(128, 128) for view in ("ap", "la")}
    with grpc_server(StubModel({"serving_bytes": Large()})) as address:
        client = GrpcClient(address, MODEL, RetryPolicy(60.0, 0))
        result = RemoteReconstructor(client)(**films, spacing_mm=1.0)
    assert (result.ct_hu == -1).all() and result.ct_hu.shape == shape[1:]
    assert result.segmentation is None


def test_the_request(client, model):
    RemoteReconstructor(client)(**block_films(), spacing_mm=2.5)
    ((signature, inputs),) = model.requests
    assert signature == "serving_bytes"
    assert set(inputs) == {"ap_bytes", "la_bytes"}
    assert all(value.shape == (1,) for value in inputs.values())


def test_a_busy_server_is_asked_again(client, model, caplog):
    model.busy = 2
    assert RemoteReconstructor(client).size == SIZE
    pauses = [message.partition("asked again in ")[2] for message in caplog.messages]
    assert pauses == ["0.1 s", "0.2 s"]


def test_a_server_that_stays_busy(client, model):
    model.busy = 3
    with pytest.raises(UserError, match=r"--server=localhost:\d+: no answer \(.*is the model serv"):
        RemoteReconstructor(client)
    assert model.busy == 0


@pytest.mark.parametrize("client_type", [GrpcClient, RestClient, KserveClient])
def test_no_server(client_type):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"--server={address}: no answer") as caught:
        RemoteReconstructor(client_type(address, MODEL, RetryPolicy(5.0, retries=1)))
    assert "\n" not in str(caught.value)


def test_another_model_name(client):
    other = type(client)(client.address, "other", RetryPolicy(5.0, 0))
    with pytest.raises(UserError, match="other: Servable not found for request"):
        RemoteReconstructor(other)


def test_an_export_without_serving_bytes(client, model):
    model.signatures = {"serving_default": model.signatures["serving_default"]}
    with pytest.raises(UserError, match="has no signature serving_bytes as"):
        RemoteReconstructor(client)


def test_no_voxel_size(client):
    with pytest.raises(UserError, match="--spacing_mm: missing, and the model does not know"):
        RemoteReconstructor(client)(**block_films())


def test_a_film_that_the_model_refuses(client):
    pngs = {"ap_bytes": b"hello", "la_bytes": b"hello"}
    with pytest.raises(UserError, match=f"{MODEL}: .*film: not a PNG picture") as caught:
        client.predict("serving_bytes", pngs, {})
    assert "\n" not in str(caught.value)


class Answers:
    """Stand-in for a client with a fixed answer."""

    address, model = "host:1", MODEL
    outputs = ("ct_hu", "segmentation")

    def __init__(self, **answer):
        self.answer = answer

    def output_shapes(self, signature):
        return dict.fromkeys(self.outputs, (-1, SIZE, SIZE, SIZE))

    def predict(self, signature, inputs, shapes):
        return self.answer


CT, LABELS = np.full((SIZE,) * 3, -7), np.full((SIZE,) * 3, 5)


def test_the_servers_voxel_size_is_rounded_to_float32_precision():
    answer = Answers(ct_hu=CT, segmentation=LABELS, spacing_mm=np.float32(1.1))
    result = RemoteReconstructor(answer)(**block_films())
    assert result.spacing_mm == 1.1
    np.testing.assert_allclose(result.origin_mm, -15.5 * 1.1)


def test_the_voxel_size_that_files_tell_is_checked_before_a_request(tmp_path):
    films = {view: tmp_path / f"{view}.png" for view in ("ap", "la")}
    for view, film in block_films().items():
        write_film(films[view], film, view)
    answer = Answers(ct_hu=CT, segmentation=LABELS)
    answer.predict = None
    options = {"crop": "none", "check_views": False, "ap_pixel_mm": 0.5}
    with pytest.raises(
        UserError, match=r"--spacing_mm=0\.5: 32 voxels of it are 16 mm, and a neck"
    ):
        RemoteReconstructor(answer)(**films, **options)


def test_a_model_is_asked_for_its_voxel_size_if_it_knows_it():
    answer = Answers(ct_hu=CT, segmentation=LABELS, spacing_mm=np.float32(1.1))
    assert RemoteReconstructor(answer).trained_spacing_mm() is None
    answer.outputs = ("ct_hu", "segmentation", "spacing_mm")
    assert RemoteReconstructor(answer).trained_spacing_mm() == 1.1
    answer.answer["spacing_mm"] = np.float32(np.nan)
    with pytest.raises(UserError, match="the answer's spacing_mm"):
        RemoteReconstructor(answer).trained_spacing_mm()


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ({}, "ct_hu"),
        ({"ct_hu": CT[1:], "segmentation": LABELS}, "ct_hu"),
        ({"ct_hu": CT + 0.5, "segmentation": LABELS}, "ct_hu"),
        ({"ct_hu": [[1], [1, 2]], "segmentation": LABELS}, "ct_hu"),
        ({"ct_hu": "nothing", "segmentation": LABELS}, "ct_hu"),
        ({"ct_hu": CT}, "segmentation"),
        ({"ct_hu": CT, "segmentation": LABELS - 6}, "segmentation"),
    ],
)
def test_malformed_arrays_in_an_answer(answer, name):
    with pytest.raises(UserError, match=f"the answer's {name} is not a volume of 32\\^3"):
        RemoteReconstructor(Answers(**answer))(**block_films(), spacing_mm=1.0)


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"metadata": {}}', b"\xff"])
def test_a_web_server_that_is_no_model_server(content):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with (
        http_server(Handler) as address,
        pytest.raises(UserError, match="does not answer as TensorFlow Serving's REST API does"),
    ):
        RemoteReconstructor(RestClient(address, MODEL, RetryPolicy(5.0, 0)))


def test_a_rest_server_that_takes_too_long():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            time.sleep(0.5)

        def log_message(self, *_):
            pass

    with (
        http_server(Handler) as address,
        pytest.raises(UserError, match=r"no answer within 0.1 s; give more --timeout_s"),
    ):
        RemoteReconstructor(RestClient(address, MODEL, RetryPolicy(0.1, 0)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_program_writes_what_reconstruct_does(tmp_path, model, kind):
    for view, film in block_films().items():
        write_film(tmp_path / f"{view}.png", film, view)
    films = [f"--{view}={tmp_path / view}.png" for view in ("ap", "la")]
    flags = [*films, "--spacing_mm=2.5", "--nocheck_views", f"--output={tmp_path / 'out'}"]
    flags += ["--noreport", f"--protocol={kind}"]
    with KINDS[kind][0](model) as address:
        result = run_program("serve_client", f"--server={address}", *flags)
    assert (result.returncode, result.stderr) == (0, "")
    paths = [pathlib.Path(line) for line in result.stdout.splitlines()]
    assert {"ct.nii.gz", "segmentation.nii.gz", "reconstruction.json"} <= {p.name for p in paths}
    assert paths == sorted((tmp_path / "out").resolve().iterdir())


@pytest.fixture
def large_films(tmp_path, model):
    """Flags of the program with films that show more than the network sees, and a server."""
    for view, film in phantom_films().items():
        write_film(tmp_path / f"{view}.png", film, view)
    films = [f"--{view}={tmp_path / view}.png" for view in ("ap", "la")]
    flags = [
        *films,
        "--protocol=rest",
        "--spacing_mm=2.5",
        "--noreport",
        f"--output={tmp_path / 'out'}",
    ]
    with rest_server(model) as address:
        yield [*flags, f"--server={address}"]


@pytest.mark.usefixtures("usual_umask")
def test_the_program_finds_the_neck_unless_it_is_told_not_to(tmp_path, large_films, model):
    box = "--ap_crop_box=51,20,99,68"
    result = run_program("serve_client", *large_films, box, "--nocheck_views")
    assert result.returncode == 0, result.stderr
    assert rights_of_others(tmp_path / "out") == {0}
    assert "la.png: C1 to C7 are found: taken as --la_crop_box=" in result.stderr
    assert "ap.png" not in result.stderr
    # The voxel size is given, so that the server need not be asked for it.
    assert len(model.requests) == 1
    flags = ("--crop=none", f"--output={tmp_path / 'none'}")
    result = run_program("serve_client", *large_films, *flags)
    assert_refused(result, "crop or pad the film square", tmp_path / "none")


def test_a_client_without_keras_is_told_what_to_do(tmp_path, large_films, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "absent")
    result = run_program("serve_client", *large_films)
    message = "ap.png: the search for the neck needs absent: pip install absent, or give --ap_crop"
    assert_refused(result, message, tmp_path / "out")
    result = run_program("serve_client", *large_films, "--report", "--crop=none")
    message = "--report needs absent: pip install absent, or give --noreport"
    assert_refused(result, message, tmp_path / "out")
    # No search, no Keras.
    boxes = [f"--{view}_crop_box=9,9,59,59" for view in ("ap", "la")]
    assert run_program("serve_client", *large_films, *boxes, "--nocheck_views").returncode == 0


def test_the_program_without_a_server(tmp_path):
    flags = [
        "--protocol=rest",
        "--retries=0",
        "--ap=a.png",
        "--la=l.png",
        f"--output={tmp_path / 'out'}",
    ]
    result = run_program("serve_client", "--server=localhost:1", *flags)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: --server=localhost:1: no answer (")
    assert (result.returncode, result.stdout) == (2, "")
    assert not (tmp_path / "out").exists()
    result = run_program("serve_client", "--server=localhost:1", "--strict", "--noreport", *flags)
    assert_refused(result, "--strict: needs the report's quality checks", tmp_path / "out")
