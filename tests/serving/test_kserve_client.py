"""The KServe v2 client: true answers in every form, and lies: a few, or all in `make soak`."""

import json

import numpy as np
import pytest

from tests.export.runs import SIZE
from tests.films import block_films
from tests.serving.kserve_lies import answer, fixed_lies, lying_server, model, random_lie
from tests.serving.lies import LABELS, NUMBER_RANDOM, outcome, true_ct
from tests.serving.rest_lies import response
from tests.serving.serving_apis import MODEL, StubModel, kserve_server
from xctrs_tf.reconstruction import load
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.serving.client import RetryPolicy
from xctrs_tf.serving.kserve_client import KserveClient
from xctrs_tf.serving.remote import RemoteReconstructor

LIES = fixed_lies()
NO_KSERVE = "does not answer as a KServe v2 server does; is this its HTTP port (8000 by default)?"
SAMPLE = {
    "server, drip-fed content": "no answer within 0.5 s; give more --timeout_s",
    "model, not found": "xctrsnet: ?[2J?]0;title??31m??[6n cannot be (status 404)",
    "server, busy": "no answer (status 503)",
    "infer, redirect 302": "sends on to another address (status 302), which is not followed",
    "model, deep lists": NO_KSERVE,
    "server, null": NO_KSERVE,
    "infer, huge length": "answers with over 2 MB; is this a model server's HTTP port",
    "size: huge": "has no signature serving_bytes",
    "size: escapes": NO_KSERVE,
    "inputs: empty list": "has no signature serving_bytes",
    "outputs: object": NO_KSERVE,
    "extensions: zero": NO_KSERVE,
    "ct_hu, shape: list": NO_KSERVE,
    "ct_hu, datatype: escapes": NO_KSERVE,
    "ct_hu, parameters: negative": NO_KSERVE,
    "spacing_mm, data: text": NO_KSERVE,
    "bytes: huge": NO_KSERVE,
    "bytes: zero": NO_KSERVE,
    "bytes: true": NO_KSERVE,
    "edge: enormous": NO_KSERVE,
    "numbers: huge": NO_KSERVE,
    "numbers: infinite": "the answer's segmentation is not a volume of",
    "JSON of b'-1' of 2 bytes": NO_KSERVE,
    "JSON of b'99999' of 5000 bytes": NO_KSERVE,
    "JSON of b'' of 0 bytes": NO_KSERVE,
    "bytes missing": NO_KSERVE,
    "bytes left over": NO_KSERVE,
    "other type": NO_KSERVE,
    "text": NO_KSERVE,
    "no labels": "the answer's segmentation is not a volume of",
    "not a number": "the answer's spacing_mm=nan: must be above 0",
    "labels outside": "the answer's segmentation is not a volume of",
}


def ask(lies, timeout_s=0.5):
    with lying_server(lies) as (address, requests):
        found = outcome(lambda: KserveClient(address, "xctrsnet", RetryPolicy(timeout_s, 0)))
    return found, requests


@pytest.mark.parametrize("name", SAMPLE)
def test_a_lie_is_one_line(name):
    line, _ = ask(LIES[name])
    assert SAMPLE[name] in line


def test_changed_bytes_are_one_line_or_a_possible_answer():
    for seed in range(12):
        ask(random_lie(seed))


@pytest.mark.soak
@pytest.mark.usefixtures("bounded_memory")
@pytest.mark.parametrize("name", [*LIES, *range(NUMBER_RANDOM)])
def test_any_lie_is_one_line_or_a_possible_answer(name):
    ask(LIES[name] if name in LIES else random_lie(name), timeout_s=3.0)


def test_a_true_answer_is_taken():
    reconstruction, requests = ask({})
    assert reconstruction.spacing_mm == 2.5
    np.testing.assert_array_equal(reconstruction.ct_hu, true_ct())
    assert (reconstruction.segmentation == LABELS).all()
    assert requests == [
        "GET /v2 HTTP/1.1",
        "GET /v2/models/xctrsnet HTTP/1.1",
        "POST /v2/models/xctrsnet/infer HTTP/1.1",
    ]


@pytest.mark.parametrize("flat", [True, False])
def test_numbers_may_be_flat_or_nested(flat):
    ct = true_ct()[np.newaxis]
    data = ct.ravel().tolist() if flat else ct.tolist()
    reconstruction, _ = ask({"infer": answer(ct_hu={"data": data})})
    np.testing.assert_array_equal(reconstruction.ct_hu, true_ct())


def test_films_that_are_to_be_sent_otherwise_are_not_sent():
    films = [{"name": f"{v}_bytes", "datatype": "BYTES", "shape": [1]} for v in ("ap", "la")]
    line, requests = ask({"model": response(model(inputs=films))})
    assert "has no signature serving_bytes" in line and len(requests) == 2


@pytest.mark.parametrize("binary", [True, False])
def test_both_forms_answer_as_the_library_does(models, binary):
    exported = find_export(models)
    stub = StubModel(exported.load_signatures())
    films = block_films()
    films["ap"] += np.linspace(0, 0.9, SIZE, dtype=np.float32)
    with kserve_server(stub, binary) as address:
        client = KserveClient(address, MODEL, RetryPolicy(60.0, 0))
        reconstructor = RemoteReconstructor(client)
        remote = reconstructor(**films, spacing_mm=2.5)
    local = load(exported.path)(**films, spacing_mm=2.5)
    np.testing.assert_allclose(remote.ct_hu, local.ct_hu, rtol=0, atol=1)
    np.testing.assert_array_equal(remote.segmentation, local.segmentation)
    assert (
        reconstructor.metadata["training"]
        == json.loads(
            (exported.path / "assets.extra" / "metadata.json").read_text(encoding="utf-8")
        )["training"]
    )
