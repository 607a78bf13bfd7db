"""Connections of the clients: encryption, with certificates that are made here, and names."""

import functools
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")

from tests.programs import assert_refused, run_program
from tests.serving.grpc_lies import grpc, lying_grpc_server
from tests.serving.lies import outcome
from tests.serving.rest_lies import TRANSPORT, lying_server
from xctrs_tf.errors import UserError
from xctrs_tf.serving.client import RetryPolicy, Security
from xctrs_tf.serving.grpc_client import GrpcClient
from xctrs_tf.serving.rest_client import RestClient

RETRY = RetryPolicy(5.0, 0)


def make_certificate(folder, names):
    """Write cert.pem, signed by itself, and its key.pem into a new folder."""
    folder.mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
    command += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", f"subjectAltName={names}", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    return make_certificate(tmp_path_factory.mktemp("tls") / "own", "IP:127.0.0.1")


@pytest.fixture(autouse=True)
def without_the_variable_of_grpc(monkeypatch):
    """Some machines set it for all programs."""
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", raising=False)


@pytest.fixture(scope="module")
def foreign(own):
    return make_certificate(own.parent / "foreign", "DNS:elsewhere")


def context_of(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def ask_rest(certificate, lies=None, retry=RETRY, **security):
    context = certificate and context_of(certificate)
    with lying_server(lies or {}, context) as (address, _):
        return outcome(lambda: RestClient(address, "m", retry, Security(**security)))


def ask_grpc(certificate, **security):
    pair = [((certificate / name).read_bytes()) for name in ("key.pem", "cert.pem")]
    credentials = grpc.ssl_server_credentials([tuple(pair)])
    with lying_grpc_server({}, credentials) as address:
        return outcome(lambda: GrpcClient(address, "m", RETRY, Security(**security)))


@pytest.mark.parametrize("ask", [ask_rest, ask_grpc])
def test_a_server_whose_certificate_is_known(own, ask):
    assert ask(own, tls=True, ca_file=str(own / "cert.pem")).spacing_mm == 2.5


def test_certificates_that_are_refused_over_rest(own, foreign):
    assert "its certificate is refused (self" in ask_rest(own, tls=True)
    line = ask_rest(foreign, tls=True, ca_file=str(foreign / "cert.pem"))
    assert "its certificate is refused (IP address mismatch" in line
    assert "name the authority's file with --ca_file" in line


def test_certificates_that_are_refused_over_grpc(own, foreign):
    line = ask_grpc(own, tls=True)
    assert "its certificate is refused (CERTIFICATE_VERIFY_FAILED: self signed" in line
    line = ask_grpc(foreign, tls=True, ca_file=str(foreign / "cert.pem"))
    assert "its certificate is refused (Hostname Verification Check failed" in line
    assert "name the authority's file with --ca_file" in line


@pytest.mark.parametrize("ask", [ask_rest, ask_grpc])
def test_the_authorities_of_the_system_are_known(own, ask, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(own / "cert.pem"))
    assert ask(own, tls=True).spacing_mm == 2.5


@pytest.mark.parametrize("ask", [ask_rest, ask_grpc])
def test_the_folder_of_authorities_of_the_system_is_known(own, ask, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    (tmp_path / "00000000.0").symlink_to("absent")
    # OpenSSL reads files alone that are named by the hash of the subject.
    shutil.copy(own / "cert.pem", tmp_path / "cert.pem")
    assert "its certificate is refused (" in ask(own, tls=True)
    command = ["openssl", "x509", "-in", "cert.pem", "-noout", "-subject_hash"]
    told = subprocess.run(command, cwd=own, check=True, capture_output=True, text=True)
    (tmp_path / f"{told.stdout.strip()}.0").symlink_to("cert.pem")
    assert ask(own, tls=True).spacing_mm == 2.5


def test_the_authorities_that_the_variable_of_grpc_names_are_known(own, monkeypatch):
    # gRPC reads it once in a process.
    handed = []
    monkeypatch.setattr(grpc, "ssl_channel_credentials", handed.append)
    monkeypatch.setattr(grpc, "secure_channel", lambda *_: grpc.insecure_channel("h:1"))
    monkeypatch.setenv("SSL_CERT_FILE", str(own / "cert.pem"))
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(own / "cert.pem"))
    for security in (Security(tls=True), Security(tls=True, ca_file=str(own / "cert.pem"))):
        GrpcClient("h:1", "m", RETRY, security)
    assert handed == [None, (own / "cert.pem").read_bytes()]


def test_a_server_that_does_not_encrypt(own):
    def refuse():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        line = outcome(lambda: RestClient(address, "m", RETRY, Security(tls=True)))
        thread.join()
    assert "no TLS connection (" in line
    assert isinstance(ask_rest(own), str)


def test_the_deadline_holds_for_encrypted_answers(own):
    lies = {"GET": TRANSPORT["drip-fed content"]}
    ca_file = str(own / "cert.pem")
    line = ask_rest(own, lies, RetryPolicy(0.5, 0), tls=True, ca_file=ca_file)
    assert "no answer within 0.5 s" in line


@pytest.mark.parametrize("client", [RestClient, GrpcClient])
def test_a_file_of_authorities_that_is_none(client, tmp_path):
    (tmp_path / "a.pem").write_text("no certificate", encoding="utf-8")
    found = []
    for name in ("a.pem", "absent.pem"):
        security = Security(tls=True, ca_file=str(tmp_path / name))
        found.append(outcome(functools.partial(client, "h:1", "m", RETRY, security)))
    assert "no certificates in PEM format" in found[0]
    assert "cannot be read (No such file" in found[1]


@pytest.mark.parametrize("client", [RestClient, GrpcClient])
def test_names_that_cannot_be_sent(client):
    for address, model in (("\udcff:1", "m"), ("h:1\n", "m"), ("h:1", "\udcff"), ("h:1", "")):
        line = outcome(functools.partial(client, address, model, RETRY))
        assert "no such name; write it in letters" in line


def test_the_program_hands_its_flags_to_the_client(tmp_path, monkeypatch):
    received = []

    def client(*given):
        received.extend(given)
        raise UserError("far enough")

    monkeypatch.setattr("xctrs_tf.serving.rest_client.RestClient", client)
    flags = ["--protocol=rest", "--server=h:1", "--ap=a.png", "--la=l.png", "--noreport"]
    flags += ["--model_name=m", "--ca_file=c.pem", "--use_proxy", "--timeout_s=5", "--retries=0"]
    output = tmp_path / "out"
    result = run_program("serve_client", *flags, "--tls", f"--output={output}")
    assert_refused(result, "far enough", output)
    assert received == ["h:1", "m", RETRY, Security(True, "c.pem", True)]
    result = run_program("serve_client", *flags, f"--output={output}")
    assert_refused(result, "--ca_file: only --tls checks a certificate; add it", output)
