"""Settings and fixtures of all tests: quiet TensorFlow, no GPU, float32, seeded weights."""

import gc
import os
import resource

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests are of the processor, also where a GPU is, which a training may hold.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

# Before TensorFlow, which computes with oneDNN then on every processor, as for users.
import xctrs_tf  # noqa: F401, isort: skip
import keras
import pytest
import tensorflow as tf

# To trace a network makes millions of objects that live on; to look for garbage among
# them and the modules of TensorFlow every 700 objects takes a tenth of the time.
gc.freeze()
gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(items):
    """Put the files with slow tests first: at the end one worker would run them alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _seeded_float32():
    """Set the dtype policy and the random seed before every test, and the policy after it."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def _silent_progress(monkeypatch):
    """Name no stage of the work: on a slow machine the tests would see lines more."""
    monkeypatch.setattr("xctrs_tf.progress.AFTER_S", 1e6)


@pytest.fixture
def usual_umask():
    """Let other users read new files, as most systems do."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def no_graph_optimizer():
    """Skip the graph optimizer, which takes longer than running graphs of 20,000 nodes."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder of an exported toy run, as a SavedModel of version 1. Tests must not change it."""
    from tests.export.runs import toy_run
    from xctrs_tf.export.saved_model import export_run

    folder = tmp_path_factory.mktemp("toy")
    export_run(toy_run(folder / "run"), folder / "models")
    return folder / "models"


@pytest.fixture
def bounded_memory():
    """Fail if the process needs 2 GB more than before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In kilobytes on Linux.
    assert after - before < 2 * 2**20
