"""Answers over REST that are lies: random ones, and every kind that was thought of."""

import contextlib
import json
import random
import socket
import threading
import time

from tests.export.runs import SIZE
from tests.serving.lies import ESCAPES, LABELS, STRANGE, mutated_bytes, plain_answer, volume

_END = b"\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def metadata(shape=(-1, SIZE, SIZE, SIZE), names=("ct_hu", "segmentation")):
    """Return the metadata that a server answers with, as JSON values."""
    dims = [{"size": str(edge), "name": ""} for edge in shape]
    outputs = {name: {"tensor_shape": {"dim": dims, "unknown_rank": False}} for name in names}
    signatures = {"serving_bytes": {"outputs": outputs}}
    return {"metadata": {"signature_def": {"signature_def": signatures}}}


def response(content, head=HEAD):
    """Return the bytes of a response with this JSON or these bytes."""
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return head + b"Content-Length: %d" % len(content) + _END + content


GOOD = {"GET": response(metadata()), "POST": response({"predictions": [plain_answer()]})}


@contextlib.contextmanager
def lying_server(lies, context=None, good=GOOD, kind=lambda line: line.split(" ")[0]):
    """Answer each request by ``lies``: bytes, or a function of pieces; else truthfully.

    Args:
        lies: dict from kind of request to the answer.
        context: `ssl.SSLContext` of the server, or None.
        good: dict from kind of request to the true answer.
        kind: function from a request's first line to its kind; by default the method.

    Yields:
        The address, and the list of the request lines.
    """
    requests, listener = [], socket.create_server(("127.0.0.1", 0))

    def serve(plain):
        with contextlib.suppress(OSError):
            plain.settimeout(20)
            with context.wrap_socket(plain, server_side=True) if context else plain as connection:
                answer(connection)

    def answer(connection):
        request = b""
        while _END not in request:
            request += connection.recv(65536)
        head, _, body = request.partition(_END)
        requests.append(head.split(b"\r\n")[0].decode())
        length = head.lower().partition(b"\ncontent-length:")[2].split(b"\r\n")[0]
        while len(body) < int(length or 0):
            body += connection.recv(65536)
        asked = kind(requests[-1])
        content = lies.get(asked, good[asked])
        for piece in [content] if isinstance(content, bytes) else content():
            connection.sendall(piece)

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def forever(piece, pause_s=0.0):
    """Return a function that yields a piece again and again, until the other side ends."""

    def pieces():
        yield HEAD
        while True:
            yield piece
            time.sleep(pause_s)

    return pieces


def _chunked(*chunks):
    return HEAD + b"Transfer-Encoding: chunked" + _END + b"".join(chunks)


def _status(line, **headers):
    head = b"HTTP/1.1 " + line + b"\r\n"
    head += b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    return response({"error": f"{ESCAPES} cannot\nbe"}, head)


# Answers to whatever is asked.
TRANSPORT = {
    "drip-fed content": forever(b"\r\n", 0.05),
    "endless headers": forever(b"X-Header: yes\r\n"),
    "one endless header": forever(b"X" * 4096),
    "endless continue": lambda: iter(lambda: b"HTTP/1.1 100 Continue\r\n\r\n", None),
    "endless content": forever(b"Connection: close\r\n\r\n" + b" " * 65536),
    "endless chunks": lambda: (
        piece for piece in [_chunked(), *[b"10000\r\n" + b"[" * 65536 + b"\r\n"] * 10_000]
    ),
    "drip-fed chunks": lambda: (
        time.sleep(0.05) or piece for piece in [_chunked(), *[b"1\r\n \r\n"] * 10_000]
    ),
    "huge chunk": _chunked(b"7fffffffffffffff\r\n[]"),
    "impossible chunk": _chunked(b"f" * 300 + b"\r\n[]"),
    "chunk of letters": _chunked(b"zzz\r\n[]"),
    "huge length": HEAD + b"Content-Length: 1000000000000" + _END + b"{}",
    "impossible length": HEAD + b"Content-Length: " + b"9" * 30 + _END + b"{}",
    "length of 5000 digits": HEAD + b"Content-Length: " + b"9" * 5000 + _END + b"{}",
    "negative length": HEAD + b"Content-Length: -5" + _END + b"{}",
    "length of letters": HEAD + b"Content-Length: many" + _END + b"{}",
    "shorter than its length": HEAD + b"Content-Length: 500" + _END + b'{"a": 1',
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "escapes": ESCAPES.encode() * 99,
    "HTTP 0.9": b"{}",
    "only a status": b"HTTP/1.1 200 OK\r\n",
    "odd status": b"HTTP/1.1 \xff\xfe 200\r\n\r\n",
    "status of letters": b"HTTP/1.1 abc OK" + _END,
    "another version": b"HTTP/3.7 200 OK" + _END + b"{}",
    "other protocol": b"HTTP/1.1 101 Switching Protocols" + _END,
    "no content": b"HTTP/1.1 204 No Content" + _END,
    "not found": _status(b"404 \x1b[31mred"),
    "error of the model": _status(b"500 Oops"),
    "busy": _status(b"503 Busy\x1b[2J"),
    "a long error": response({"error": "x" * 10**6}, b"HTTP/1.1 400 Bad\r\n"),
    "an error without text": response({"error": [[1], {"a": 2}]}, b"HTTP/1.1 400 Bad\r\n"),
    "a page as error": response(b"<html>\x1b[2J", b"HTTP/1.1 400 Bad\r\n"),
    "packed": response(b"\x1f\x8b\x08\x00", HEAD + b"Content-Encoding: gzip\r\n"),
    **{
        f"redirect {status}": _status(b"%d Moved" % status, Location="http://127.0.0.1:1/elsewhere")
        for status in (301, 302, 303, 307, 308)
    },
}
# Contents of a response to whatever is asked.
CONTENTS = {
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "deep and whole": b"[" * 5000 + b"]" * 5000,
    "a number of 5000 digits": b'{"predictions": [' + b"9" * 5000 + b"]}",
    "not a number": b'{"predictions": [NaN]}',
    "empty lists": b"[" + b"[]," * 500_000 + b"[]]",
    "no UTF-8": b'{"predictions": ["\xff\xfe"]}',
    "a mark first": b"\xef\xbb\xbf{}",
    "half": GOOD["POST"].partition(_END)[2][:5000],
    "nothing": b"",
    "null": b"null",
    "text": b'"predictions"',
}


def fixed_lies():
    """Return a dict from name to the lies of one server."""
    lies = {}
    for method in ("GET", "POST"):
        for name, answer in TRANSPORT.items():
            lies[f"{method}, {name}"] = {method: answer}
        for name, content in CONTENTS.items():
            lies[f"{method}, {name}"] = {method: response(content)}
    for name, value in STRANGE.items():
        shape = (-1, value, value, value)
        lies[f"size: {name}"] = {"GET": response(metadata(shape))}
        spacing = plain_answer(spacing_mm=value)
        lies[f"spacing: {name}"] = {"POST": response({"predictions": [spacing]})}
        lies[f"predictions: {name}"] = {"POST": response({"predictions": value})}
        for output in ("ct_hu", "segmentation"):
            changed = plain_answer(**{output: volume(value)})
            lies[f"{output}: {name}"] = {"POST": response({"predictions": [changed]})}
            changed = plain_answer(**{output: value})
            lies[f"whole {output}: {name}"] = {"POST": response({"predictions": [changed]})}
    for shape in ((), (SIZE,), (-1, SIZE, SIZE, SIZE + 1), (1,) * 5000, (-1, 2**40, 2**40, 2**40)):
        lies[f"shape of {len(shape)} axes, {shape[-1:]}"] = {"GET": response(metadata(shape))}
    short = plain_answer(segmentation=volume(LABELS)[1:])
    lies["too few planes"] = {"POST": response({"predictions": [short]})}
    lies["two patients"] = {"POST": response({"predictions": [plain_answer()] * 2})}
    lies["no labels"] = {"POST": response({"predictions": [{"ct_hu": volume(0)}]})}
    return lies


def random_lie(seed):
    """Return the lies of one server: true answers with some bytes changed."""
    generator = random.Random(seed)
    method = generator.choice(("GET", "POST"))
    head, _, content = GOOD[method].partition(_END)
    if generator.random() < 0.3:
        return {method: mutated_bytes(head, generator) + _END + content}
    return {method: response(mutated_bytes(content, generator))}
