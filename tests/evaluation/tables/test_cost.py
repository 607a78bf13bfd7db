import functools
import types

from xctrs_tf.evaluation.tables import cost
from xctrs_tf.evaluation.tables.paper import COUNTS, PAPER_SIZE


def test_counts_are_the_papers_where_it_gives_the_layers():
    parameters, flops = COUNTS["mulsisnet"]
    counts = cost.network_counts("mulsisnet", PAPER_SIZE)
    assert (counts["parameters"], counts["profiler_flops"]) == (parameters, flops)
    assert counts["flops"] > flops


def test_width_makes_fewer_parameters():
    half, whole = (cost.network_counts("spadrnet", 32, width) for width in (0.5, 1.0))
    assert 0 < half["parameters"] < whole["parameters"]
    assert half["profiler_flops"] < whole["profiler_flops"]


def test_networks_are_timed_in_turn_without_the_first_call(monkeypatch):
    calls = []

    class Network:
        def __init__(self, name, size, width):
            self.name, self.size = name, size
            assert width == 0.5

        def compile(self, jit_compile):
            assert jit_compile is False

        def predict_on_batch(self, inputs):
            calls.append(self.name)
            # The first call of each compiles it.
            clock["now"] += 1.0 if calls.count(self.name) > 1 else 50.0
            if self.name == "spadrnet":
                shapes = {view: film.shape for view, film in inputs.items()}
                assert shapes == dict.fromkeys(("ap", "la"), (1, self.size, self.size, 1))
            else:
                assert inputs.shape == (1, *(self.size,) * 3, 1)

    for name in ("spadrnet", "unet3d"):
        network = types.SimpleNamespace(
            factory=functools.partial(Network, name), task=cost.NETWORKS[name].task
        )
        monkeypatch.setitem(cost.NETWORKS, name, network)
    clock = {"now": 0.0}
    monkeypatch.setattr(cost.time, "perf_counter", lambda: clock["now"])
    seconds = cost.inference_seconds(["spadrnet", "unet3d"], 32, 0.5, repeats=3)
    assert calls == ["spadrnet", "unet3d"] * 4
    assert seconds["unet3d"] == {"median": 1.0, "min": 1.0, "max": 1.0, "repeats": 3}


def test_a_real_network_can_be_timed():
    assert cost.inference_seconds(["dsn"], 32, 0.25, repeats=1)["dsn"]["median"] > 0
