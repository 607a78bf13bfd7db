"""Answers over gRPC that are lies: random ones, and every kind that was thought of."""

import contextlib
import random
import time
from concurrent import futures

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from tests.export.runs import SIZE
from tests.serving.lies import ESCAPES, LABELS, SPACING_MM, mutated_bytes, true_ct

# Imported there with a silent log.
from xctrs_tf.serving.grpc_client import grpc

SHAPE = (1, SIZE, SIZE, SIZE)


def metadata(shape=(-1, *SHAPE[1:]), names=("ct_hu", "segmentation")):
    """Return the bytes of the metadata that a server answers with."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name in names:
        output = signatures.signature_def["serving_bytes"].outputs[name]
        for edge in shape:
            output.tensor_shape.dim.add().size = edge
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    answer.metadata["signature_def"].Pack(signatures)
    return answer.SerializeToString()


def tensor(value, dtype, full=SHAPE, **fields):
    """Return a TensorProto of one value, whose fields are then changed."""
    proto = tf.make_tensor_proto(tf.fill(full, tf.constant(value, dtype)))
    for name, content in fields.items():
        if name == "shape":
            del proto.tensor_shape.dim[:]
            for edge in content:
                proto.tensor_shape.dim.add().size = edge
        elif name == "kind":
            proto.dtype = content
        elif name == "tensor_content":
            proto.tensor_content = content
        else:
            getattr(proto, name).extend(content)
    return proto


def answer(**changes):
    """Return the bytes of the true answer, with other tensors; None leaves one out."""
    outputs = {
        "ct_hu": tf.make_tensor_proto(true_ct()[np.newaxis]),
        "segmentation": tensor(LABELS, tf.uint8),
        "spacing_mm": tensor(SPACING_MM, tf.float32, (1,)),
        **changes,
    }
    message = predict_pb2.PredictResponse()
    for name, proto in outputs.items():
        if proto is not None:
            message.outputs[name].CopyFrom(proto)
    return message.SerializeToString()


GOOD = {"GetModelMetadata": metadata(), "Predict": answer()}


@contextlib.contextmanager
def lying_grpc_server(lies, credentials=None):
    """Answer each method by ``lies``: bytes, or a function of the context; else truthfully.

    Args:
        lies: dict from method to the answer.
        credentials: `grpc.ServerCredentials`, or None.

    Yields:
        The address.
    """

    def handler(method):
        def call(request, context):
            content = lies.get(method, GOOD[method])
            return content if isinstance(content, bytes) else content(context)

        return grpc.unary_unary_rpc_method_handler(call)

    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_message_length", -1)])
    service = "tensorflow.serving.PredictionService"
    handlers = {method: handler(method) for method in GOOD}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    place = "127.0.0.1:0"
    if credentials is None:
        port = server.add_insecure_port(place)
    else:
        port = server.add_secure_port(place, credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _error(code, details):
    def refuse(context):
        context.abort(code, details)

    return refuse


def _late(context):
    time.sleep(5)
    return b""


def _other_message():
    message = get_model_metadata_pb2.GetModelMetadataResponse()
    message.metadata["signature_def"].Pack(predict_pb2.PredictRequest())
    return message.SerializeToString()


def _damaged_inside():
    message = get_model_metadata_pb2.GetModelMetadataResponse()
    message.ParseFromString(GOOD["GetModelMetadata"])
    packed = message.metadata["signature_def"]
    packed.value = packed.value[:-7] + b"\xff" * 7
    return message.SerializeToString()


# To whatever is asked.
_MESSAGES = {
    "nothing": b"",
    "no message": b"\xff" * 99,
    "letters": ESCAPES.encode(),
    "late": _late,
    "over the limit": b"\x00" * (2**26 + 1),
    "escapes in an error": _error(grpc.StatusCode.INVALID_ARGUMENT, f"{ESCAPES} cannot\nbe"),
    "a long error": _error(grpc.StatusCode.INTERNAL, "x" * 5000),
    "no permission": _error(grpc.StatusCode.PERMISSION_DENIED, "no"),
    "escapes of a busy one": _error(grpc.StatusCode.UNAVAILABLE, ESCAPES),
    "an error without text": _error(grpc.StatusCode.UNKNOWN, ""),
    "cancelled": _error(grpc.StatusCode.CANCELLED, "no more"),
}
_HUGE = (1, 2**20, 2**20, 2**20)
_TENSORS = {
    "huge shape": tensor(1, tf.int16, shape=_HUGE),
    "huge shape of one value": tensor(1, tf.int32, shape=_HUGE, tensor_content=b"", int_val=[1]),
    "one value for all": tensor(1, tf.int16, tensor_content=b"", int_val=[1]),
    "a value too few": tensor(1, tf.int16, tensor_content=b"", int_val=[1] * (SIZE**3 - 1)),
    "a value too many": tensor(1, tf.int16, tensor_content=b"", int_val=[1] * (SIZE**3 + 1)),
    "no value": tensor(1, tf.int16, tensor_content=b""),
    "negative shape": tensor(1, tf.int16, shape=(1, -SIZE, -SIZE, SIZE)),
    "no shape": tensor(1, tf.int16, shape=()),
    "5000 axes": tensor(1, tf.int16, shape=(1,) * 5000),
    "two patients": tensor(1, tf.int16, (2, *SHAPE[1:])),
    "short content": tensor(1, tf.int16, tensor_content=b"\0" * 77),
    "no type": tensor(1, tf.int16, kind=0),
    "unknown type": tensor(1, tf.int16, kind=9999),
    "text": tensor("5", tf.string),
    "truth": tensor(True, tf.bool),
    "complex": tensor(1j, tf.complex64),
    "half": tensor(1, tf.float16),
    "resource": tensor(1, tf.int16, kind=20),
    "out of range": tensor(30_000, tf.int16),
    "negative": tensor(-30_000, tf.int32),
    "huge": tensor(2**62, tf.int64),
    "not a number": tensor(float("nan"), tf.float32),
    "infinite": tensor(float("inf"), tf.float64),
    "fraction": tensor(0.5, tf.float32),
}
_SPACINGS = (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"))


def fixed_lies():
    """Return a dict from name to the lies of one server."""
    lies = {}
    for method in GOOD:
        lies |= {f"{method}, {name}": {method: content} for name, content in _MESSAGES.items()}
    for output in ("ct_hu", "segmentation"):
        for name, proto in _TENSORS.items():
            lies[f"{output}: {name}"] = {"Predict": answer(**{output: proto})}
        lies[f"{output}: missing"] = {"Predict": answer(**{output: None})}
    for value in _SPACINGS:
        proto = tensor(value, tf.float32, (1,))
        lies[f"spacing: {value}"] = {"Predict": answer(spacing_mm=proto)}
    lies["spacing: text"] = {"Predict": answer(spacing_mm=tensor("2.5", tf.string, (1,)))}
    lies["spacing: none"] = {"Predict": answer(spacing_mm=None)}
    for edge in (0, -1, 31, 2**40, -(2**63)):
        lies[f"size: {edge}"] = {"GetModelMetadata": metadata((-1, edge, edge, edge))}
    lies["no axes"] = {"GetModelMetadata": metadata(())}
    lies["many axes"] = {"GetModelMetadata": metadata((SIZE,) * 5000)}
    lies["no signature"] = {"GetModelMetadata": metadata(names=())}
    lies["another message"] = {"GetModelMetadata": _other_message()}
    lies["damaged inside"] = {"GetModelMetadata": _damaged_inside()}
    return lies


def random_lie(seed):
    """Return the lies of one server: true answers with some bytes changed."""
    generator = random.Random(seed)
    method = generator.choice(tuple(GOOD))
    return {method: mutated_bytes(GOOD[method], generator)}
