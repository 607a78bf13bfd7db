"""One HTTP request with a limit on its whole time and on the bytes of the response.

`http.client` limits the wait for each piece of a response only, so that a server that
sends a byte now and then would never end.
"""

import http.client
import io
import socket
import time
import typing
import urllib.parse
import urllib.request

from xctrs_tf.errors import UserError, one_line


class TooLarge(Exception):
    """Response with more bytes than allowed."""


class Response(typing.NamedTuple):
    """Response of a server, of which nothing is checked.

    Attributes:
        status: number of the status line.
        reason: text of the status line.
        headers: `http.client.HTTPMessage`.
        content: bytes.
    """

    status: int
    reason: str
    headers: http.client.HTTPMessage
    content: bytes


def exchange(
    address, path, body, *, timeout_s, max_bytes, context=None, use_proxy=False, headers=None
):
    """Send a request and read the whole response. Redirects are not followed.

    Args:
        address: ``host:port``.
        path: path of the URL, quoted.
        body: bytes of a POST request, or None for GET.
        timeout_s: seconds for everything from connecting to the last byte.
        max_bytes: largest size of headers and content together.
        context: `ssl.SSLContext` for HTTPS, or None.
        use_proxy: go through the proxy of the environment.
        headers: dict of further headers; by default the content is called JSON.

    Returns:
        `Response`.

    Raises:
        UserError: the address or the environment's proxy is no ``host:port``.
        TimeoutError: not done in time.
        TooLarge: more than ``max_bytes``.
        http.client.HTTPException: not HTTP.
        OSError: no connection.
    """
    scheme = "http" if context is None else "https"
    proxy = _proxy(scheme, address) if use_proxy else None
    connection = _Connection(proxy or address, timeout_s, max_bytes, context)
    url = path
    if proxy and context is None:
        url = f"{scheme}://{address}{path}"
    elif proxy:
        connection.set_tunnel(*_host_and_port(address))
    headers = {"Content-Type": "application/json", **(headers or {}), "Connection": "close"}
    try:
        connection.request("GET" if body is None else "POST", url, body, headers)
        with connection.getresponse() as response:
            if response.length is not None and response.length > max_bytes:
                raise TooLarge
            # In pieces: a chunk may claim any size, which would be allocated at once.
            content = b"".join(iter(lambda: response.read(2**16), b""))
            return Response(response.status, response.reason, response.headers, content)
    finally:
        connection.end()


class _Connection(http.client.HTTPConnection):
    def __init__(self, address, timeout_s, max_bytes, context):
        host, port = _host_and_port(address)
        super().__init__(host, port)
        self._limits = _Limits(time.monotonic() + timeout_s, max_bytes)
        self._context, self._plain = context, None

    def connect(self):
        self.sock = _Socket(self._open(), self._limits)
        if self._tunnel_host:
            self._tunnel()
        if self._context is not None:
            self._plain.settimeout(self._limits.seconds_left())
            self._plain = self._context.wrap_socket(
                self._plain, server_hostname=self._tunnel_host or self.host
            )
            self.sock = _Socket(self._plain, self._limits)

    def _open(self):
        """Return a socket to the first of the host's addresses that answers."""
        failure = None
        for family, kind, protocol, _, place in socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM
        ):
            self.end()
            self._plain = socket.socket(family, kind, protocol)
            self._plain.settimeout(self._limits.seconds_left())
            try:
                self._plain.connect(place)
                return self._plain
            except OSError as error:
                failure = error
        raise failure

    def end(self):
        if self._plain is not None:
            self._plain.close()


class _Limits:
    """Time and bytes that are left to one request."""

    def __init__(self, deadline, max_bytes):
        self._deadline, self._bytes_left = deadline, max_bytes

    def seconds_left(self):
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def count(self, received):
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise TooLarge


class _Socket:
    """The part of a socket that `http.client` uses, within the limits."""

    def __init__(self, plain, limits):
        self.plain, self._limits = plain, limits

    def sendall(self, data):
        # Of a TLS socket each piece has the timeout.
        view = memoryview(data)
        for start in range(0, len(view), 2**16):
            self.plain.settimeout(self._limits.seconds_left())
            self.plain.sendall(view[start : start + 2**16])

    def makefile(self, mode):
        return io.BufferedReader(_Reader(self.plain, self._limits), 2**16)

    def close(self):
        """Do nothing: http.client closes it while the response is still read."""


class _Reader(io.RawIOBase):
    def __init__(self, plain, limits):
        self._plain, self._limits = plain, limits

    def readable(self):
        return True

    def readinto(self, buffer):
        self._plain.settimeout(self._limits.seconds_left())
        received = self._plain.recv_into(buffer)
        self._limits.count(received)
        return received


def _proxy(scheme, address):
    """Return ``host:port`` of the environment's proxy, or None."""
    host, _ = _host_and_port(address)
    url = urllib.request.getproxies().get(scheme)
    if not url or urllib.request.proxy_bypass(host):
        return None
    return urllib.parse.urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[2]


def _host_and_port(address):
    try:
        parts = urllib.parse.urlsplit(f"//{address}")
        port, host = parts.port, parts.hostname
        host.encode("idna")
    except (ValueError, AttributeError):
        port = host = None
    plain = host and port and parts.netloc == address and "@" not in address
    if not plain or not address.isprintable() or " " in address:
        shown = one_line(address, 100)
        raise UserError(f"--server={shown}: write it as host:port, without http:// and paths")
    return host, port
