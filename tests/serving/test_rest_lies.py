"""The REST client with servers that lie: a few of the lies, or all of them in `make soak`."""

import pytest

from tests.serving.lies import NUMBER_RANDOM, outcome
from tests.serving.rest_lies import GOOD, HEAD, fixed_lies, lying_server, random_lie
from xctrs_tf.serving import rest_client
from xctrs_tf.serving.client import RetryPolicy, Security
from xctrs_tf.serving.rest_client import RestClient

LIES = fixed_lies()
SAMPLE = {
    "GET, drip-fed content": "no answer within 0.5 s; give more --timeout_s",
    "GET, endless headers": "does not answer as TensorFlow Serving's REST API",
    "GET, endless continue": "no answer within 0.5 s",
    "GET, not found": "xctrsnet: ?[2J?]0;title??31m??[6n cannot be (status 404)",
    "GET, busy": "no answer (status 503)",
    "GET, redirect 302": "sends on to another address (status 302), which is not followed",
    "GET, deep lists": "does not answer as TensorFlow Serving's REST API",
    "GET, nothing": "",
    "size: huge": "has no signature serving_bytes",
    "size: escapes": "does not answer as TensorFlow Serving's REST API",
    "POST, huge chunk": "",
    "POST, huge length": "answers with over 2 MB",
    "GET, impossible length": "answers with over 4 MB",
    "POST, drip-fed chunks": "no answer within 0.5 s",
    "POST, deep and whole": "does not answer as",
    "ct_hu: not a number": "the answer's ct_hu is not a volume of",
    "ct_hu: enormous": "answers with over 2 MB",
    "segmentation: text": "the answer's segmentation is not a volume of",
    "spacing: text": "the answer's spacing_mm='2.5': must be above 0",
    "spacing: tiny": "the answer's spacing_mm=1e-30: 32 voxels of it are",
    "no labels": "the answer's segmentation is not a volume of",
    "two patients": "does not answer as",
}


def ask(lies, timeout_s=0.5):
    with lying_server(lies) as (address, requests):
        found = outcome(lambda: RestClient(address, "xctrsnet", RetryPolicy(timeout_s, 0)))
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
    assert requests == [
        "GET /v1/models/xctrsnet/metadata HTTP/1.1",
        "POST /v1/models/xctrsnet:predict HTTP/1.1",
    ]


def test_true_answers_in_chunks_and_without_a_length_are_taken():
    lies = {}
    for method, whole in GOOD.items():
        content = whole.partition(b"\r\n\r\n")[2]
        half = len(content) // 2
        chunks = [b"%x\r\n%s\r\n" % (len(c), c) for c in (content[:half], content[half:], b"")]
        lies[method] = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)
    assert ask(lies)[0].spacing_mm == 2.5
    for method, whole in GOOD.items():
        lies[method] = b"HTTP/1.0 200 OK\r\n\r\n" + whole.partition(b"\r\n\r\n")[2]
    assert ask(lies)[0].spacing_mm == 2.5


def test_a_redirect_is_not_followed():
    with lying_server({}) as (elsewhere, others):
        head = f"HTTP/1.1 307 Moved\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        line, _ = ask({"POST": head.encode()})
    assert "not followed" in line and others == []


def test_no_more_bytes_are_read_than_the_limit(monkeypatch):
    monkeypatch.setattr(rest_client, "MAX_METADATA_BYTES", 1_000_000)
    line, _ = ask(LIES["GET, endless content"], timeout_s=8.0)
    assert "answers with over 1 MB" in line


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:8501",
        "localhost",
        "localhost:99999",
        "localhost:8501/x",
        "u:p@localhost:1",
        "local host:1",
        ":1",
    ],
)
def test_an_address_that_is_none_is_told(address):
    line = outcome(lambda: RestClient(address, "xctrsnet", RetryPolicy(0.5, 0)))
    assert "write it as host:port, without http:// and paths" in line


def test_a_models_name_is_quoted():
    with lying_server({}) as (address, requests):
        outcome(lambda: RestClient(address, "../a b?", RetryPolicy(0.5, 0)))
    assert requests[0] == "GET /v1/models/..%2Fa%20b%3F/metadata HTTP/1.1"


def test_a_proxy_sees_the_films_only_if_asked(monkeypatch):
    with lying_server({}) as (proxy, requests):
        monkeypatch.setenv("http_proxy", f"http://{proxy}")
        monkeypatch.delenv("no_proxy", raising=False)
        server = "127.0.0.1:9"
        line = outcome(lambda: RestClient(server, "m", RetryPolicy(0.5, 0)))
        assert "no answer" in line and requests == []
        security = Security(use_proxy=True)
        found = outcome(lambda: RestClient(server, "m", RetryPolicy(0.5, 0), security))
    assert found.spacing_mm == 2.5
    assert requests[0] == f"GET http://{server}/v1/models/m/metadata HTTP/1.1"
