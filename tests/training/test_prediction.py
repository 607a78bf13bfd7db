import numpy as np
import pytest

from tests.evaluation.patients import SIZE, make_case, make_run
from tests.export.runs import write_run
from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.errors import UserError
from xctrs_tf.training.prediction import compile_run, predict_case
from xctrs_tf.training.run import load_run
from xctrs_tf.training.tensorflow.compiled_network import CompiledNetwork

ARRAYS = network_arrays(make_case())
VOLUME = (1, SIZE, SIZE, SIZE, 1)


def one_hot_of(ct):
    """Return class 3 where the CT is above one half, class 0 elsewhere."""
    probabilities = np.zeros((*ct.shape[:-1], 8), "float32")
    probabilities[..., 3] = ct[..., 0] > 0.5
    probabilities[..., 0] = 0.5
    return probabilities


def test_networks_get_batches_and_results_lose_batch_and_channel():
    def reconstruct(films):
        assert {view: film.shape for view, film in films.items()} == {
            "ap": (1, SIZE, SIZE, 1),
            "la": (1, SIZE, SIZE, 1),
        }
        # x from the AP film, y from the LA film.
        return films["ap"][:, :, None, :, :] * films["la"][:, None, :, :, :]

    ct, labels = predict_case(make_run(reconstruct, one_hot_of), "p1", ARRAYS)
    expected = ARRAYS["ap"][4, 6, 0] * ARRAYS["la"][5, 6, 0]
    assert ct.shape == (SIZE, SIZE, SIZE)
    assert ct.dtype == np.float32
    assert ct[4, 5, 6] == pytest.approx(expected)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.where(ct > 0.5, 3, 0))


def test_reconstruction_is_clipped_after_segmentation():
    def segment(ct):
        assert (ct == 1.5).all()
        return one_hot_of(ct)

    run = make_run(lambda films: np.full(VOLUME, 1.5, "float32"), segment)
    ct, labels = predict_case(run, "p1", ARRAYS)
    assert (ct == 1.0).all()
    assert (labels == 3).all()


def test_run_without_segmentation():
    run = make_run(lambda films: np.zeros(VOLUME, "float32"), None)
    assert predict_case(run, "p1", ARRAYS)[1] is None


@pytest.mark.parametrize("broken", ["reconstruction", "segmentation"])
def test_nan_in_a_prediction_is_an_error(broken):
    def reconstruct(films):
        return np.full(VOLUME, np.nan if broken == "reconstruction" else 0.5, "float32")

    def segment(ct):
        return np.full((*VOLUME[:-1], 8), np.nan, "float32")

    with pytest.raises(UserError, match="RUN: the networks give no numbers for p1; take"):
        predict_case(make_run(reconstruct, segment), "p1", ARRAYS)


def test_compiled_networks_give_the_eager_result(tmp_path):
    write_run(tmp_path / "run")
    run = load_run(tmp_path / "run")
    ct, labels = predict_case(run, "p1", ARRAYS)
    compiled_ct, compiled_labels = predict_case(compile_run(run), "p1", ARRAYS)
    np.testing.assert_allclose(compiled_ct, ct, atol=1e-5)
    # Two classes may be equally likely, but for rounding.
    assert (compiled_labels == labels).mean() > 0.999


def test_a_compiled_network_is_traced_once():
    traced = []

    def network(films, training):
        traced.append(training)
        return films["ap"] * films["la"]

    compiled = CompiledNetwork(network)
    for value in (1.0, 2.0, 3.0):
        films = {view: np.full((1, 2, 2, 1), value, "float32") for view in ("ap", "la")}
        assert (compiled(films, training=False).numpy() == value**2).all()
    assert traced == [False]


def test_the_mirrored_patient_is_averaged_and_only_x_is_mirrored():
    weight = np.linspace(0.0, 1.0, SIZE, dtype="float32").reshape(1, -1, 1, 1, 1)
    back = np.linspace(0.2, 0.4, SIZE, dtype="float32").reshape(1, 1, -1, 1, 1)

    def reconstruct(films):
        # Brighter to the left and to the back, whatever is on the films.
        volume = films["ap"][:, :, None, :, :] * films["la"][:, None, :, :, :]
        return volume * weight * back

    def segment(ct):
        # Class 1 in the right half with a little more weight than class 2 has everywhere.
        probabilities = np.zeros((*ct.shape[:-1], 8), "float32")
        probabilities[..., 2] = 0.4
        probabilities[:, : SIZE // 2, ..., 1] = 0.6
        return probabilities

    run = make_run(reconstruct, segment)
    ct, labels = predict_case(run, "p1", ARRAYS, mirror=True)
    plain, plain_labels = predict_case(run, "p1", ARRAYS)
    product = ARRAYS["ap"][:, None, :, 0] * ARRAYS["la"][None, :, :, 0]
    # The mean of a weight and its mirror image is one half everywhere.
    np.testing.assert_allclose(ct, product * 0.5 * back[0, ..., 0], rtol=1e-5, atol=1e-7)
    assert ct.dtype == np.float32 and not np.allclose(ct, plain)
    # Both halves have 0.3 of class 1 and 0.4 of class 2.
    assert (labels == 2).all() and (plain_labels[: SIZE // 2] == 1).all()
