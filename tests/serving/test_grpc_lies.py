"""The gRPC client with servers that lie: a few of the lies, or all of them in `make soak`."""

import pytest

pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")

from tests.serving.grpc_lies import fixed_lies, lying_grpc_server, random_lie
from tests.serving.lies import NUMBER_RANDOM, outcome
from xctrs_tf.serving.client import RetryPolicy, Security
from xctrs_tf.serving.grpc_client import GrpcClient

LIES = fixed_lies()
SAMPLE = {
    "GetModelMetadata, no message": "(INTERNAL)",
    "GetModelMetadata, late": "no answer within 0.5 s; give more --timeout_s",
    "GetModelMetadata, escapes in an error": "xctrsnet: ?[2J?]0;title??31m??[6n cannot be (INVALID",
    "GetModelMetadata, escapes of a busy one": "no answer (?[2J?]0;title??31m??[6n); is the mo",
    "Predict, over the limit": "(RESOURCE_EXHAUSTED)",
    "damaged inside": "answers with metadata; is xctrsnet an export",
    "another message": "has no signature serving_bytes",
    f"size: {2**40}": "has no signature serving_bytes",
    "many axes": "has no signature serving_bytes",
    "ct_hu: huge shape of one value": "answers with ct_hu of 4 axes, (1, 1048576, 1048576, 1048576",
    "ct_hu: one value for all": "answers with ct_hu with 1 values",
    "ct_hu: short content": "answers with ct_hu that is no array of numbers",
    "ct_hu: text": "answers with ct_hu that is no array of numbers",
    "ct_hu: unknown type": "answers with ct_hu that is no array of numbers",
    "ct_hu: not a number": "the answer's ct_hu is not a volume of",
    "segmentation: negative": "the answer's segmentation is not a volume of",
    "segmentation: missing": "the answer's segmentation is not a volume of",
    "spacing: nan": "the answer's spacing_mm=nan: must be above 0",
}


def ask(lies, timeout_s=0.5, **security):
    with lying_grpc_server(lies) as address:
        retry, security = RetryPolicy(timeout_s, 0), Security(**security)
        return outcome(lambda: GrpcClient(address, "xctrsnet", retry, security))


@pytest.mark.parametrize("name", SAMPLE)
def test_a_lie_is_one_line(name, capfd, caplog):
    assert SAMPLE[name] in ask(LIES[name], 2.0 if "limit" in name else 0.5)
    assert (capfd.readouterr().err, caplog.messages) == ("", [])


def test_changed_bytes_are_one_line_or_a_possible_answer():
    for seed in range(8):
        ask(random_lie(seed))


@pytest.mark.soak
@pytest.mark.usefixtures("bounded_memory")
def test_any_lie_is_one_line_or_a_possible_answer():
    for lies in (*LIES.values(), *map(random_lie, range(NUMBER_RANDOM))):
        ask(lies, timeout_s=3.0)


def test_a_true_answer_is_taken():
    assert ask({}).spacing_mm == 2.5


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert ask({}).spacing_mm == 2.5
    assert "no answer" in ask({}, use_proxy=True)
