"""Measure the speed of the program on this machine.

  python -m experiments.benchmark --what=pipeline,projection --json=benchmark.json
  python -m experiments.benchmark --what=networks --network_size=128 --precision=mixed_bfloat16

networks: inference of one patient and a training step of all terms at --network_size, with
the operations a second beside those of a large matrix product, and the peak memory.
With KERAS_BACKEND=jax on JAX, which needs no TensorFlow. With --fpmath=bfloat16 the largest
differences of the outputs from those of float32 stand beside the times.
profile: the same inference and step at --network_size, split by kind of operation and by
network.
runtimes: inference of one patient at --network_size in TensorFlow (float32 and bfloat16), ONNX
Runtime and OpenVINO (at its default precision and in float32) in turns (pip install
'xctrs-tf[runtimes]'), and by how much the outputs differ from TensorFlow's in float32.
pipeline: patients a second through the training pipeline, at 64^3 and 128^3.
projection: AP and LA film of 128^3, parallel and cone, and plastimatch's own time
for the same films where it is on PATH (pip install --no-deps plastimatch); patients a
CPU second of the augmentation pose at 64^3, alone and with turned films made besides; CPU
milliseconds of a patient of the augmentation films at 64^3 and 128^3.

Every time but those of profile is the median of --repeats; the spread stands beside it, because
other programs may be at work. Aims are printed with what was reached.
"""

import dataclasses
import os
import pathlib
import statistics
import sys

import numpy as np
from absl import flags

from experiments.benchmark import fpmath as benchmark_fpmath
from experiments.benchmark import networks as benchmark_networks
from experiments.benchmark import profile as benchmark_profile
from experiments.benchmark import runtimes as benchmark_runtimes
from experiments.common import cli
from xctrs_tf.errors import UserError
from xctrs_tf.files import write_json
from xctrs_tf.geometry import SIZES
from xctrs_tf.processor import FPMATHS
from xctrs_tf.training.config import PRECISIONS, TrainingConfig

FLAGS = flags.FlagValues()
WHAT = flags.DEFINE_list(
    "what",
    ["pipeline", "projection"],
    "Parts: pipeline, projection, networks, profile, runtimes.",
    flag_values=FLAGS,
)
JSON = flags.DEFINE_string(
    "json", None, "JSON file of the results; none is written without.", flag_values=FLAGS
)
REPEATS = flags.DEFINE_integer(
    "repeats", 15, "Measurements of each time; profile makes one.", lower_bound=3, flag_values=FLAGS
)
NETWORK_SIZE = flags.DEFINE_enum(
    "network_size",
    "128",
    [str(size) for size in SIZES],
    "Voxels a side, of networks.",
    flag_values=FLAGS,
)
WIDTH = flags.DEFINE_float(
    "width",
    1.0,
    "Of networks: factor on the number of filters of every layer.",
    lower_bound=0.01,
    flag_values=FLAGS,
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    PRECISIONS,
    "Of networks, on any processor; experiments.train takes float32 where bfloat16 is slow.",
    flag_values=FLAGS,
)
FPMATH = flags.DEFINE_enum(
    "fpmath",
    "float32",
    FPMATHS,
    "Of networks; bfloat16: on a processor with AMX, the inputs of float32 products are rounded "
    "to bfloat16.",
    flag_values=FLAGS,
)
REMAT = flags.DEFINE_boolean(
    "remat", False, "Of networks: compute features twice, keep few.", flag_values=FLAGS
)
XLA = flags.DEFINE_boolean(
    "xla", False, "Of networks: compile the inference with XLA.", flag_values=FLAGS
)
VGG_WEIGHTS = flags.DEFINE_string(
    "vgg_weights",
    "random",
    "Of networks; the values change no time: imagenet, random or a file.",
    flag_values=FLAGS,
)


def execute():
    """Measure, print and write; returns the exit status."""
    parts = {
        "pipeline": _data("pipeline"),
        "projection": _data("projection"),
        "networks": _networks,
        "profile": _profile,
        "runtimes": _runtimes,
    }
    unknown = [name for name in WHAT.value if name not in parts]
    if unknown or not WHAT.value:
        raise UserError(f"--what={','.join(WHAT.value)}: must be of {', '.join(parts)}")
    if JSON.value is not None and not pathlib.Path(JSON.value).parent.is_dir():
        raise UserError(f"--json={JSON.value}: no such folder; make it first")
    _refuse_ignored()
    cli.load_tensorflow(FPMATH.value)
    from xctrs_tf.provenance import collect

    load_before = os.getloadavg()[0]
    rows = []
    for name in WHAT.value:
        for row in parts[name]():
            rows.append(row)
            print(_line(row), flush=True)
    if JSON.value is not None:
        # Each row has its own number, too.
        repeats = 1 if WHAT.value == ["profile"] else REPEATS.value
        about = collect(
            n=repeats, seed=0, data_hash=None, load_average=[load_before, os.getloadavg()[0]]
        )
        write_json(JSON.value, {**about, "results": rows})
        print(JSON.value)
    return 0


def _refuse_ignored():
    """Refuse flags that a part of --what does not use, beside which they would stand."""
    for flag, parts in (
        (FPMATH, ("networks",)),
        (PRECISION, ("networks", "profile")),
        (XLA, ("networks", "profile")),
        (REMAT, ("networks", "profile")),
    ):
        if flag.value != flag.default and not set(WHAT.value) <= set(parts):
            given = f"--{flag.name}" if flag.value is True else f"--{flag.name}={flag.value}"
            raise UserError(f"{given}: for --what={' or '.join(parts)} alone")


# By measurement, the outputs whose differences from float32 stand beside it.
_OUTPUTS = {
    "reconstruction": ("ct",),
    "segmentation": ("segmentation",),
    "both": ("ct", "segmentation"),
}


def _networks():
    """Latencies and steps, each with its share of what the machine can do, and memory."""
    config, label = _config(), _label()
    setting = benchmark_networks.Setting(config, REPEATS.value, XLA.value)
    rates = benchmark_networks.matrix_rate(setting)
    yield _result(f"matrix product {config.precision}{_mode()}", rates, "GFLOP/s")
    away = {}
    if config.fpmath != "float32":
        away = benchmark_fpmath.differences(config)
    for part in (benchmark_networks.inference, benchmark_networks.training):
        for name, (seconds, flops, first) in part(setting).items():
            row = _result(f"{name} {label}", [1e3 * each for each in seconds], "ms")
            row["p95"] = float(np.percentile(seconds, 95) * 1e3)
            row["first"] = 1e3 * first
            row["gflops"] = flops / statistics.median(seconds) / 1e9
            row["share_of_matrix_product"] = row["gflops"] / statistics.median(rates)
            outputs = _OUTPUTS.get(name, ())
            if away and outputs:
                row["largest_difference"] = {output: away[output] for output in outputs}
            yield row
        held, what = benchmark_networks.peak_memory_bytes()
        yield _result(f"peak {what}, {part.__name__} {label}", [held / 2**30], "GiB")


def _profile():
    """Milliseconds of one inference and one step, by kind of operation and by network."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError("--what=profile: reads TensorFlow's profiler; unset KERAS_BACKEND")
    calls = {
        "inference": benchmark_networks.inference_calls(_config(), XLA.value)["both"],
        "step": benchmark_networks.step_call(_config()),
    }
    for name, call in calls.items():
        for _ in range(2):
            benchmark_networks.wait(call())
        found = benchmark_profile.operations(lambda call=call: benchmark_networks.wait(call()))
        total = sum(milliseconds for _, _, milliseconds in found)
        for split in (benchmark_profile.by_kind, benchmark_profile.by_part):
            for group, milliseconds in split(found).items():
                row = _result(f"{name} {_label()}, {group}", [milliseconds], "ms")
                yield {**row, "share": milliseconds / total}


def _runtimes():
    """Latencies in each runtime that is installed, beside TensorFlow's."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError("--what=runtimes: converts TensorFlow's graphs; unset KERAS_BACKEND")
    from xctrs_tf.training.run import Run, build_networks

    for name in benchmark_runtimes.missing():
        print(f"{name}: not installed; pip install 'xctrs-tf[runtimes]'")
    runs = {}
    for name, precision in benchmark_runtimes.PRECISIONS.items():
        config = dataclasses.replace(_config(), precision=precision)
        # Of one seed, so that the weights are the same.
        runs[name] = Run(path=None, config=config, step=0, **build_networks(config))
    for part, found in benchmark_runtimes.compare(runs, REPEATS.value):
        reference = statistics.median(found[benchmark_runtimes.REFERENCE][0])
        for runtime, (seconds, difference) in found.items():
            name = f"{runtime} {part} {config.size}^3"
            row = _result(name, [1e3 * each for each in seconds], "ms")
            row["times_as_fast"] = reference / statistics.median(seconds)
            yield {**row, "largest_difference": difference}


def _config():
    return TrainingConfig(
        size=int(NETWORK_SIZE.value),
        width=WIDTH.value,
        precision=PRECISION.value,
        fpmath=FPMATH.value,
        remat=REMAT.value,
        vgg_weights=VGG_WEIGHTS.value,
    )


def _mode():
    mode = "" if FPMATH.value == "float32" else f" fpmath={FPMATH.value}"
    return mode if WIDTH.value == 1.0 else f"{mode} width={WIDTH.value:g}"


def _label():
    return f"{NETWORK_SIZE.value}^3 {PRECISION.value}{_mode()}" + (" XLA" if XLA.value else "")


def _data(name):
    """Function that yields the rows of a part of `benchmark_data`."""

    def rows():
        # What reads and writes volumes is not needed, and may be missing, for networks.
        from experiments.benchmark import data as benchmark_data

        for each in getattr(benchmark_data, name)(REPEATS.value):
            yield _result(*each)

    return rows


def _result(name, values, unit, aim=None, at_least=False):
    """A row: median, range, and whether the aim is met (None without one)."""
    median = statistics.median(values)
    met = None if aim is None else (median >= aim if at_least else median <= aim)
    return {
        "name": name,
        "median": median,
        "min": min(values),
        "max": max(values),
        "repeats": len(values),
        "unit": unit,
        "aim": aim,
        "met": met,
    }


def _line(row):
    text = (
        f"{row['name']:28} {row['median']:9.4g} {row['unit']:10} "
        f"({row['min']:.4g} to {row['max']:.4g} in {row['repeats']})"
    )
    if "share_of_matrix_product" in row:
        text += f"  {row['share_of_matrix_product']:.2f} of the matrix product's rate"
        if "first" in row:
            text += f", {row['first'] / 1e3:.1f} s the first time"
        away = row.get("largest_difference", {})
        parts = [f"{output} by {difference:.1e}" for output, difference in away.items()]
        return f"{text}, outputs differ from float32: {', '.join(parts)}" if parts else text
    if "times_as_fast" in row:
        return (
            f"{text}  {row['times_as_fast']:.2f} times as fast as {benchmark_runtimes.REFERENCE}, "
            f"outputs differ by {row['largest_difference']:.1e}"
        )
    if "share" in row:
        return f"{text}  {row['share']:.2f} of all"
    if row["aim"] is None:
        return text
    return f"{text}  aim {row['aim']:.4g}: {'met' if row['met'] else 'MISSED'}"


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
