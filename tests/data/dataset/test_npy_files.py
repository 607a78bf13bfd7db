import numpy as np
import pytest

from xctrs_tf.data.dataset import npy_files
from xctrs_tf.data.dataset.npy_files import read_array, read_arrays


@pytest.fixture
def failing(monkeypatch):
    """Make the next reads of NumPy fail with the error of CPython; return the list of all reads."""
    calls, load = [], np.load

    def fail(number):
        def reading(*args, **kwargs):
            calls.append(1)
            if len(calls) <= number:
                raise SystemError("AST constructor recursion depth mismatch (before=39, after=38)")
            return load(*args, **kwargs)

        monkeypatch.setattr(npy_files.np, "load", reading)
        return calls

    return fail


def test_named_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", ct=np.arange(3), la=np.ones(2), other=np.zeros(1))
    arrays = read_arrays(tmp_path / "a.npz", ("ct", "la"))
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "ct": [0, 1, 2],
        "la": [1, 1],
    }
    with pytest.raises(KeyError):
        read_arrays(tmp_path / "a.npz", ("absent",))


def test_interfering_threads_are_no_error(tmp_path, failing):
    np.save(tmp_path / "a.npy", np.arange(3))
    calls = failing(4)
    assert read_array(tmp_path / "a.npy").tolist() == [0, 1, 2]
    assert len(calls) == 5


def test_a_lasting_failure_is_an_error(tmp_path, failing):
    np.savez(tmp_path / "a.npz", ct=np.arange(3))
    failing(99)
    with pytest.raises(SystemError, match="depth mismatch"):
        read_arrays(tmp_path / "a.npz", ("ct",))
