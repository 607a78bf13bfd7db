"""Metadata that travel with the answers: the client judges as `experiments.reconstruct` does."""

import json

import numpy as np
import pytest

from tests.export.runs import SIZE, read_metadata, toy_run
from tests.films import block_films
from tests.programs import assert_refused, rights_of_others, run_program
from tests.quality.references import plain_reference
from tests.serving.serving_apis import MODEL, StubModel, grpc_server, kserve_server, rest_server
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.errors import UserError
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.serving.client import RetryPolicy
from xctrs_tf.serving.kserve_client import KserveClient
from xctrs_tf.serving.remote import RemoteReconstructor
from xctrs_tf.serving.rest_client import RestClient
from xctrs_tf.serving.served_metadata import decode_metadata, metadata_length

# Fields of metadata.json that are known only when the export is there to be compared.
LATER = {"signatures", "weights", "checksums", "difference_from_float32"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Exported toy run with quality thresholds."""
    folder = tmp_path_factory.mktemp("judged")
    run = toy_run(folder / "run")
    (run.path / "quality.json").write_text(json.dumps(plain_reference()), encoding="utf-8")
    return find_export(export_run(run, folder / "models"))


@pytest.fixture(scope="module")
def signatures(judged):
    return judged.load_signatures()


def clients():
    yield "rest", rest_server, RestClient
    yield "kserve", kserve_server, KserveClient
    try:
        from xctrs_tf.serving.grpc_client import GrpcClient
    except UserError:
        return
    yield "grpc", grpc_server, GrpcClient


CLIENTS = {name: each for name, *each in clients()}


@pytest.mark.parametrize("kind", CLIENTS)
def test_the_metadata_of_the_model_come_with_the_answer(kind, judged, signatures):
    start, client = CLIENTS[kind]
    with start(StubModel(signatures)) as address:
        reconstructor = RemoteReconstructor(client(address, MODEL, RetryPolicy(60.0, 0)))
        assert reconstructor.metadata is None
        reconstructor(**block_films(), spacing_mm=2.5)
    expected = {k: v for k, v in read_metadata(judged.path).items() if k not in LATER}
    assert reconstructor.metadata == expected
    assert reconstructor.metadata["quality"] == plain_reference()


def test_each_patient_of_a_batch_gets_the_metadata(signatures):
    from tests.export.runs import toy_films
    from xctrs_tf.data.films.film_writer import film_bytes

    films = {v: block_films()[v] for v in toy_films(2)}
    pngs = {f"{v}_bytes": np.array([film_bytes(f, v)] * 3) for v, f in films.items()}
    answer = signatures["serving_bytes"](**pngs)
    text = answer["metadata_json"].numpy()
    assert text.shape[0] == 3 and (text == text[0]).all()
    assert json.loads(text[0].tobytes())["quality"] == plain_reference()


class Answers:
    """Stand-in for a client that tells these metadata with the true answer."""

    address, model = "host:1", MODEL

    def __init__(self, told, length=-1):
        self.told, self.length = told, length

    def output_shapes(self, signature):
        shapes = dict.fromkeys(("ct_hu", "segmentation"), (-1, SIZE, SIZE, SIZE))
        return {**shapes, "metadata_json": (-1, self.length)}

    def predict(self, signature, inputs, shapes):
        volume = np.arange(SIZE**3).reshape((SIZE,) * 3) % 8
        told = {"metadata_json": self.told} if "metadata_json" in shapes else {}
        return {"ct_hu": volume, "segmentation": volume, **told}


class Reloaded(Answers):
    """Stand-in for a server that changes its model, and so the voxel size, between answers."""

    def __init__(self, *sizes_mm):
        super().__init__(None)
        self.sizes_mm = iter(sizes_mm)

    def output_shapes(self, signature):
        return {**super().output_shapes(signature), "spacing_mm": (-1,)}

    def predict(self, *request):
        return {**super().predict(*request), "spacing_mm": next(self.sizes_mm)}


@pytest.mark.parametrize("pixel_mm", [None, 2.5])
def test_a_model_that_is_reloaded_between_two_requests_is_noticed(pixel_mm):
    reconstructor = RemoteReconstructor(Reloaded(2.5, 2.0, 2.0))
    assert reconstructor.trained_spacing_mm() == 2.5
    with pytest.raises(UserError, match="host:1: changed its model after it told the voxel size"):
        reconstructor(**block_films(), spacing_mm=pixel_mm)
    # The next time it is asked anew.
    assert reconstructor(**block_films()).spacing_mm == 2.0


def test_a_model_may_be_reloaded_where_films_are_not_read_by_its_voxel_size():
    reconstructor = RemoteReconstructor(Reloaded(2.5, 2.0, 2.0))
    assert reconstructor.trained_spacing_mm() == 2.5
    assert reconstructor(**block_films(), spacing_mm=4.0).spacing_mm == 4.0
    # Films that were read before are checked still.
    with pytest.raises(UserError, match="host:1: changed its model after it told the voxel size"):
        reconstructor(**block_films(), spacing_mm=2.5)


def ask(answer, **options):
    reconstructor = RemoteReconstructor(Answers(answer), **options)
    reconstructor(**block_films(), spacing_mm=2.5)
    return reconstructor.metadata


def as_bytes(metadata):
    return list(json.dumps(metadata).encode())


DEEP = list(b"[" * 100_000)


@pytest.mark.parametrize(
    "told",
    [5, "text", [], [300], [1.5], ["a"], [None], [[1]], {"a": 1}, DEEP, as_bytes([]), as_bytes({})],
)
def test_metadata_that_are_none_are_one_line(told):
    with pytest.raises(UserError, match="host:1: the answer's metadata_json is not of format") as e:
        ask(told)
    assert str(e.value).isprintable()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 64}, "not of the model that the server has, which differs in size"),
        ({"classes": None}, "which differs in classes"),
        ({"film_normalization": "equalized", "quality": None}, "differs in film_normalization"),
        ({"window_hu": [-1000, 2000]}, "which differs in window_hu"),
        ({"window_hu": "wide"}, "window_hu is 'wide', not lower and upper end"),
        ({"quality": {"format": "x"}}, "quality: not of format xctrs-quality"),
        ({"quality": {**plain_reference(), "thresholds": {"ap_zoom": 1}}}, "quality: damaged"),
    ],
)
def test_metadata_of_another_model_are_refused(judged, changes, message):
    metadata = {**judged.metadata, **changes}
    assert ask(as_bytes(judged.metadata)) == judged.metadata
    with pytest.raises(UserError, match=message):
        ask(as_bytes(metadata))


def test_metadata_that_are_given_are_for_servers_that_do_not_tell(judged):
    assert ask(None, metadata=judged.metadata) is judged.metadata
    told = {k: v for k, v in judged.metadata.items() if k not in LATER}
    assert ask(as_bytes(told), metadata=judged.metadata) == told
    with pytest.raises(UserError, match="--metadata: of another export than the server's, which d"):
        ask(as_bytes({**told, "quality": None}), metadata=judged.metadata)
    assert ask(None, told=False) is None
    with pytest.raises(UserError, match="--metadata: not of the model that the server has, which"):
        ask(None, metadata={**judged.metadata, "size": 64})


def test_a_length_that_no_metadata_have_is_not_asked_for():
    lengths = {None: None, (-1, 50): 50, (1, -1): -1}
    impossible = ((), (5,), (-1, 0), (-1, -2), (-1, 2**21), (-1, 5, 5))
    for shape, length in {**lengths, **dict.fromkeys(impossible)}.items():
        assert metadata_length(shape) == length
    with pytest.raises(UserError, match="is not of format"):
        decode_metadata([32] * (2**20 + 1), "host:1: it")


@pytest.mark.slow
@pytest.mark.parametrize("kind", CLIENTS)
def test_the_program_reaches_the_verdict_of_reconstruct(kind, tmp_path, judged, signatures):
    flags = films(tmp_path)
    local = run_program("reconstruct", *flags, f"--model={judged.path}", f"--output={tmp_path}/a")
    with CLIENTS[kind][0](StubModel(signatures)) as address:
        server = (f"--server={address}", f"--protocol={kind}")
        remote = run_program("serve_client", *flags, *server, "--strict", f"--output={tmp_path}/b")
    # The verdict is "fail".
    assert (local.returncode, remote.returncode) == (0, 3), remote.stderr
    reports = [tmp_path / name / "report.json" for name in ("a", "b")]
    here, there = (json.loads(report.read_text(encoding="utf-8")) for report in reports)
    # The date differs, and the client has no files of the model to hash.
    (ours,), (theirs,) = here.pop("models"), there.pop("models")
    assert (ours["name"], theirs["name"], theirs["server"]) == ("models", "xctrsnet", address)
    for name in ("method", "size", "spacing_mm", "steps", "stages", "test"):
        assert ours[name] == theirs[name]
    assert here.pop("date") and there.pop("date")
    # After the name of the model, or of the server.
    ours, theirs = (each.pop("training").partition(", ")[2] for each in (here, there))
    assert ours == theirs and "trained for " in ours
    assert here == there
    assert here["quality"]["findings"][0]["level"] == "fail"
    said = local.stdout.partition("trained for ")[2]
    assert said and remote.stdout.endswith(said)


@pytest.mark.slow
@pytest.mark.usefixtures("usual_umask")
def test_a_server_that_does_not_tell_is_named_with_the_flag(tmp_path, judged, signatures):
    flags = [*films(tmp_path), f"--output={tmp_path / 'out'}", "--protocol=rest", "--share"]
    file = judged.path / "assets.extra" / "metadata.json"
    silent = StubModel(signatures)
    silent.predict = without_metadata(silent.predict)
    with rest_server(silent) as address:
        result = run_program("serve_client", *flags, f"--server={address}")
        assert result.returncode == 0, result.stderr
        line = "does not tell the model's quality thresholds, so the result is not judged by them"
        assert line in result.stderr
        assert "or give its assets.extra/metadata.json as --metadata" in result.stderr
        assert "review: no thresholds" in result.stdout
        given = run_program("serve_client", *flags, f"--server={address}", f"--metadata={file}")
        assert "thresholds" not in given.stderr + given.stdout
    assert rights_of_others(tmp_path / "out") == {0o055, 0o044}
    flags += [f"--metadata={tmp_path / 'absent.json'}", f"--output={tmp_path / 'none'}"]
    result = run_program("serve_client", *flags, "--server=localhost:1")
    assert_refused(result, "absent.json: missing, or not of format", tmp_path / "none")


def without_metadata(predict):
    def call(signature, inputs):
        return {n: v for n, v in predict(signature, inputs).items() if n != "metadata_json"}

    return call


def films(folder):
    """Write two films; return the flags of both programs that name them."""
    for view, film in block_films().items():
        write_film(folder / f"{view}.png", film, view)
    named = [f"--{view}={folder / view}.png" for view in ("ap", "la")]
    return [*named, "--spacing_mm=2.5", "--nocheck_views"]
