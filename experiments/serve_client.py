"""Reconstruct a CT and its C1..C7 from two X-ray films on a model server.

    python -m experiments.serve_client --server=localhost:8500 --ap=ap.png --la=la.png --output=OUT
    python -m experiments.serve_client --protocol=rest --server=localhost:8501 ...
    python -m experiments.serve_client --protocol=kserve --server=localhost:8000 ...

The server is TensorFlow Serving, Triton Inference Server, or another one that speaks KServe v2,
with a model of experiments.export (docs/serving.md). Films are read, OUT is written, and the
result is judged, as by experiments.reconstruct; the thresholds of the quality checks come with
the answer, or with --metadata from models that were exported before they did. Without --tls the
connection is not encrypted: use it where the network is not your own. Not for diagnosis.

Exit status: 0, everything was written, whatever the verdict of the quality checks (with
--strict, 3 where it is "fail"; the files are written all the same); 2, nothing was done: bad
flags or films, or no good answer of the server.
"""

import logging
import pathlib
import sys

from absl import flags

from experiments.common import cli
from experiments.common.film_flags import FilmFlags, read_films
from experiments.common.model_flags import check_strict, define_strict, strict_status
from experiments.common.privacy import define_share
from xctrs_tf.errors import UserError
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.reconstruction import check_output, write_reconstruction
from xctrs_tf.reconstruction.batch_input import FilmFiles
from xctrs_tf.reconstruction.export_files import METADATA, read_metadata_file
from xctrs_tf.report.training_summary import verdict_lines
from xctrs_tf.serving.client import RetryPolicy, Security
from xctrs_tf.serving.remote import RemoteReconstructor

FLAGS = flags.FlagValues()
FILMS = FilmFlags(FLAGS)
SERVER = flags.DEFINE_string("server", None, "host:port of the model server.", flag_values=FLAGS)
PROTOCOL = flags.DEFINE_enum(
    "protocol",
    "grpc",
    ["grpc", "rest", "kserve"],
    "Of the port: TensorFlow Serving's gRPC or REST, or KServe v2 over HTTP (Triton and others).",
    flag_values=FLAGS,
)
MODEL_NAME = flags.DEFINE_string(
    "model_name", "xctrsnet", "Name of the model on the server.", flag_values=FLAGS
)
METADATA_FILE = flags.DEFINE_string(
    "metadata",
    None,
    f"{METADATA} of the served model, for the thresholds of the quality checks where the server "
    "does not tell them.",
    flag_values=FLAGS,
)
OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write; an earlier result is replaced.", flag_values=FLAGS
)
TIMEOUT_S = flags.DEFINE_float(
    "timeout_s",
    RetryPolicy.timeout_s,
    "Seconds for one request and all of its answer.",
    flag_values=FLAGS,
)
RETRIES = flags.DEFINE_integer(
    "retries",
    RetryPolicy.retries,
    "How often a server that is away or busy is asked again, after 0.5 s, 1 s, 2 s, ...",
    lower_bound=0,
    flag_values=FLAGS,
)
REPORT = flags.DEFINE_boolean(
    "report", True, "Make surfaces, measures and report.html; they take seconds.", flag_values=FLAGS
)
STRICT = define_strict(FLAGS)
TLS = flags.DEFINE_boolean(
    "tls", False, "Encrypt the connection, and check the server's certificate.", flag_values=FLAGS
)
CA_FILE = flags.DEFINE_string(
    "ca_file",
    None,
    "With --tls: PEM file of the authority that signed the certificate; by default those that "
    "the system trusts.",
    flag_values=FLAGS,
)
USE_PROXY = flags.DEFINE_boolean(
    "use_proxy",
    False,
    "Go through the proxy of http_proxy or https_proxy; without --tls it sees the films.",
    flag_values=FLAGS,
)
SHARE = define_share(FLAGS)
flags.register_validator(
    TIMEOUT_S, lambda value: 0 < value < float("inf"), "must be above 0", flag_values=FLAGS
)
flags.mark_flags_as_required(["server", "output"], flag_values=FLAGS)


def execute():
    """Send the two films to the server and write its reconstruction."""
    FILMS.check_given()
    check_strict(STRICT, REPORT)
    if REPORT.value:
        cli.check_keras("--report", "give --noreport")
    output = pathlib.Path(OUTPUT.value)
    check_output(output)
    file = METADATA_FILE.value
    metadata = None if file is None else read_metadata_file(pathlib.Path(file))
    with folder_lock(output.resolve(), beside=True):
        verdict, reconstruction = _reconstruct(output, metadata)
    print(*sorted(output.resolve().iterdir()), sep="\n")
    if verdict is None:
        return 0
    print(*verdict_lines(verdict, reconstruction.metadata, reconstruction.models), sep="\n")
    return strict_status(STRICT, [verdict.level])


def _reconstruct(output, metadata):
    """Write the reconstruction; return its verdict and itself."""
    files, options = FilmFiles("", FILMS.files()), FILMS.options()
    reconstructor = RemoteReconstructor(_server(), metadata, told=REPORT.value)
    private = not SHARE.value
    pair = read_films(files, options, reconstructor, FILMS.spacing_mm.value, output, private)
    if REPORT.value:
        cli.load_tensorflow()
    reconstruction = reconstructor.of_pair(pair)
    if REPORT.value and reconstruction.metadata is None:
        logging.warning(
            "--server=%s: does not tell the model's quality thresholds, so the result is not "
            "judged by them; export the model again, or give its %s as --metadata",
            SERVER.value,
            METADATA,
        )
    verdict = write_reconstruction(reconstruction, output, report=REPORT.value, private=private)
    return verdict, reconstruction


def _server():
    if CA_FILE.value is not None and not TLS.value:
        raise UserError("--ca_file: only --tls checks a certificate; add it")
    retry = RetryPolicy(TIMEOUT_S.value, RETRIES.value)
    security = Security(TLS.value, CA_FILE.value, USE_PROXY.value)
    if PROTOCOL.value == "rest":
        from xctrs_tf.serving.rest_client import RestClient as Client
    elif PROTOCOL.value == "kserve":
        from xctrs_tf.serving.kserve_client import KserveClient as Client
    else:
        cli.load_tensorflow()
        from xctrs_tf.serving.grpc_client import GrpcClient as Client

    return Client(SERVER.value, MODEL_NAME.value, retry, security)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
