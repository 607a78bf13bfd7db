import importlib.util

from experiments.benchmark import __main__ as benchmark
from experiments.benchmark import runtimes as benchmark_runtimes
from tests.export.runs import toy_run


def test_every_runtime_computes_the_same(tmp_path):
    absent = benchmark_runtimes.missing()
    run = toy_run(tmp_path / "run")
    runs = dict.fromkeys(benchmark_runtimes.PRECISIONS, run)
    found = dict(benchmark_runtimes.compare(runs, repeats=3))
    assert list(found) == ["reconstruction", "segmentation", "both"]
    for times in found.values():
        expected = ["TensorFlow float32", "TensorFlow bfloat16"]
        expected += ["ONNX Runtime"] * ("ONNX Runtime" not in absent)
        if "OpenVINO" not in absent:
            default, float32 = [name for name in times if name.startswith("OpenVINO")]
            assert default.startswith("OpenVINO default (") and float32 == "OpenVINO float32"
            expected += [default, float32]
        assert [*times] == expected
        for name, (seconds, difference) in times.items():
            assert len(seconds) == 3 and min(seconds) > 0
            assert difference <= (1e-6 if "default" not in name else 1e-2)


def test_rows_and_what_is_not_installed(tmp_path, monkeypatch, capsys):
    run = toy_run(tmp_path / "run")
    networks = {"reconstruction": run.reconstruction, "segmentation": run.segmentation}
    monkeypatch.setattr("xctrs_tf.training.run.build_networks", lambda config: networks)
    times = {"TensorFlow float32": ([0.2, 0.6, 0.4], 0.0), "OpenVINO": ([0.5, 0.1, 0.2], 3e-5)}
    monkeypatch.setattr(benchmark_runtimes, "compare", lambda runs, repeats: [("both", times)])
    monkeypatch.setattr(benchmark_runtimes, "missing", lambda: ["ONNX Runtime"])
    benchmark.FLAGS(["benchmark", "--network_size=64", "--repeats=3"])
    ours, theirs = benchmark._runtimes()
    assert (ours["name"], ours["median"]) == ("TensorFlow float32 both 64^3", 400.0)
    assert (ours["times_as_fast"], ours["largest_difference"]) == (1.0, 0.0)
    assert (theirs["name"], theirs["median"]) == ("OpenVINO both 64^3", 200.0)
    assert theirs["times_as_fast"] == 2.0
    assert benchmark._line(theirs).endswith(
        "2.00 times as fast as TensorFlow float32, outputs differ by 3.0e-05"
    )
    assert "ONNX Runtime: not installed; pip install 'xctrs-tf[runtimes]'\n" in (
        capsys.readouterr().out
    )


def test_missing_goes_by_the_packages(monkeypatch):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else name
    )
    assert benchmark_runtimes.missing() == ["ONNX Runtime"]
