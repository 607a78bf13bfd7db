"""Answers over KServe v2 that are lies: random ones, and every kind that was thought of."""

import json
import random

import numpy as np

from tests.export.runs import SIZE
from tests.serving import rest_lies
from tests.serving.lies import LABELS, SPACING_MM, STRANGE, mutated_bytes, true_ct

_END = b"\r\n\r\n"
_DATATYPES = {"int16": "INT16", "uint8": "UINT8", "float32": "FP32"}
VOLUME = [1, SIZE, SIZE, SIZE]


def kind(line):
    """Return what a request's first line asks about: ``server``, ``model`` or ``infer``."""
    method, path, _ = line.split(" ")
    return "infer" if method == "POST" else "server" if path == "/v2" else "model"


def model(shape=VOLUME, **changes):
    """Return the metadata of a model, as JSON values."""
    films = [{"name": f"{v}_bytes", "datatype": "UINT8", "shape": [-1]} for v in ("ap", "la")]
    names = {"ct_hu": shape, "segmentation": shape, "spacing_mm": [1]}
    outputs = [{"name": n, "datatype": "INT16", "shape": each} for n, each in names.items()]
    return {"name": "xctrsnet", "inputs": films, "outputs": outputs, **changes}


def answer(header=None, cut=0, more=b"", **changes):
    """Return the bytes of the true answer, with changes.

    Args:
        header: the length of the JSON that is told; by default the true one.
        cut: number of bytes that are left out at the end.
        more: bytes that are added.
        **changes: dict of fields of an output that are changed, or None, which leaves the
            output out.
    """
    arrays = {
        "ct_hu": true_ct()[np.newaxis],
        "segmentation": np.full(VOLUME, LABELS, np.uint8),
        "spacing_mm": np.array([SPACING_MM], np.float32),
    }
    outputs, raw = [], b""
    for name, array in arrays.items():
        changed = changes.get(name, {})
        if changed is None:
            continue
        output = {"name": name, "datatype": _DATATYPES[array.dtype.name], "shape": array.shape}
        if "data" not in changed:
            output["parameters"] = {"binary_data_size": array.nbytes}
            raw += array.tobytes()
        outputs.append({**output, **changed})
    text = json.dumps({"outputs": outputs}).encode()
    length = b"%d" % len(text) if header is None else header
    head = b"%sInference-Header-Content-Length: %s\r\n" % (rest_lies.HEAD, length)
    return rest_lies.response(text + raw[: len(raw) - cut] + more, head)


GOOD = {
    "server": rest_lies.response({"name": "stub", "extensions": ["binary_tensor_data"]}),
    "model": rest_lies.response(model()),
    "infer": answer(),
}


def lying_server(lies, context=None):
    """Answer requests of each `kind` by ``lies``, else truthfully; see `rest_lies.lying_server`."""
    return rest_lies.lying_server(lies, context, GOOD, kind)


def fixed_lies():
    """Return a dict from name to the lies of one server."""
    lies = {}
    for asked in GOOD:
        for name, content in rest_lies.TRANSPORT.items():
            lies[f"{asked}, {name}"] = {asked: content}
        for name, content in rest_lies.CONTENTS.items():
            lies[f"{asked}, {name}"] = {asked: rest_lies.response(content)}
    for name, value in STRANGE.items():
        lies[f"size: {name}"] = {"model": rest_lies.response(model([1, value, value, value]))}
        for field in ("inputs", "outputs"):
            lies[f"{field}: {name}"] = {"model": rest_lies.response(model(**{field: value}))}
        extensions = {"extensions": value}
        lies[f"extensions: {name}"] = {"server": rest_lies.response(extensions)}
        for field in ("shape", "datatype", "data", "parameters", "name"):
            for output in ("ct_hu", "spacing_mm"):
                changed = answer(**{output: {field: value}})
                lies[f"{output}, {field}: {name}"] = {"infer": changed}
        size = {"parameters": {"binary_data_size": value}}
        lies[f"bytes: {name}"] = {"infer": answer(ct_hu=size)}
        edges = {"shape": [1, value, value, value]}
        lies[f"edge: {name}"] = {"infer": answer(ct_hu=edges)}
        numbers = {"data": [value] * SIZE**3}
        lies[f"numbers: {name}"] = {"infer": answer(segmentation=numbers)}
    for length in (b"-1", b"9" * 30, b"9" * 5000, b"many", b"", b"7"):
        lies[f"JSON of {length[:5]!r} of {len(length)} bytes"] = {"infer": answer(header=length)}
    lies["bytes missing"] = {"infer": answer(cut=5)}
    lies["bytes left over"] = {"infer": answer(more=b"12345")}
    lies["other type"] = {"infer": answer(ct_hu={"datatype": "UINT8"})}
    lies["text"] = {"infer": answer(ct_hu={"datatype": "BYTES"})}
    lies["no labels"] = {"infer": answer(segmentation=None)}
    lies["not a number"] = {"infer": answer(spacing_mm={"data": [float("nan")]})}
    lies["labels outside"] = {"infer": answer(segmentation={"data": [9] * SIZE**3})}
    return lies


def random_lie(seed):
    """Return the lies of one server: true answers with some bytes changed."""
    generator = random.Random(seed)
    asked = generator.choice(tuple(GOOD))
    head, _, content = GOOD[asked].partition(_END)
    if generator.random() < 0.3:
        return {asked: mutated_bytes(head, generator) + _END + content}
    head = head.rpartition(b"Content-Length")[0]
    return {asked: rest_lies.response(mutated_bytes(content, generator), head)}
