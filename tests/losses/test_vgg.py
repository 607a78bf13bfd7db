import keras
import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.losses import MultiViewVGG
from xctrs_tf.losses.vgg import plane_images

SHAPE = (2, 8, 12, 10, 1)


def draw_planes(seed):
    """Return three random planes per view, as the sample stream draws them."""
    generator = np.random.default_rng(seed)
    return np.stack([generator.permutation(n)[:3] for n in SHAPE[1:4]]).astype("int32")


@pytest.fixture(scope="module")
def loss():
    return MultiViewVGG("random", layer="block2_conv1")


@pytest.fixture
def pair():
    generator = np.random.default_rng(3)
    y_true = generator.random(SHAPE, "float32")
    noise = generator.normal(0, 0.1, SHAPE).astype("float32")
    return y_true, np.clip(y_true + noise, 0, 1)


@pytest.fixture
def bfloat16_policy():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_are_the_slices_along_the_axis(axis):
    volume = np.arange(np.prod(SHAPE), dtype="float32").reshape(SHAPE)
    images = np.asarray(plane_images(volume, axis))
    count = SHAPE[axis + 1]
    for patient in range(2):
        for index in range(count):
            expected = np.take(volume[patient], index, axis=axis)
            np.testing.assert_array_equal(images[patient * count + index], expected)


def test_chosen_planes():
    volume = np.arange(np.prod(SHAPE), dtype="float32").reshape(SHAPE)
    images = np.asarray(plane_images(volume, 1, np.array([7, 2])))
    np.testing.assert_array_equal(images[0], volume[0, :, 7])
    np.testing.assert_array_equal(images[3], volume[1, :, 2])


def test_identical_volumes_lose_nothing(loss, pair):
    assert float(loss(pair[0], pair[0])) == 0.0


def test_is_the_mean_squared_difference_of_features_summed_over_views(loss, pair):
    y_true, y_pred = pair
    mean = [103.939, 116.779, 123.68]

    def features(volume, axis):
        slices = np.moveaxis(volume, axis + 1, 1)
        images = [255 * slices[p, i] - mean for p in range(2) for i in range(slices.shape[1])]
        return loss.network.predict(np.stack(images), verbose=0)

    expected = sum(
        np.mean(np.square(features(y_pred, axis) - features(y_true, axis))) for axis in range(3)
    )
    assert float(loss(y_true, y_pred)) == pytest.approx(expected, rel=1e-4)


def test_patients_weigh_alike(loss, pair):
    y_true, y_pred = pair
    alone = [float(loss(y_true[i : i + 1], y_pred[i : i + 1])) for i in range(2)]
    assert float(loss(y_true, y_pred)) == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize(
    ("permutation", "swapped"),
    [((0, 2, 1, 3, 4), ("sagittal", "coronal")), ((0, 1, 3, 2, 4), ("coronal", "axial"))],
)
def test_permuted_axes_swap_the_views(loss, permutation, swapped):
    # Stripes along x in the prediction, which look different in each view.
    y_true = np.zeros((1, 8, 12, 10, 1), "float32")
    y_pred = y_true.copy()
    y_pred[:, ::2, 3:5] = 0.7
    straight = loss.view_losses(y_true, y_pred)
    permuted = loss.view_losses(y_true.transpose(permutation), y_pred.transpose(permutation))
    one, other = (float(straight[view]) for view in swapped)
    assert abs(one - other) > 0.02 * one
    # Swapping the axes of an image does not transpose the random filters: the losses
    # are similar, not equal.
    assert float(permuted[swapped[0]]) == pytest.approx(other, rel=0.02)
    assert float(permuted[swapped[1]]) == pytest.approx(one, rel=0.02)


def test_gradient_reaches_the_prediction_only(loss, pair):
    y_true, y_pred = (tf.constant(volume) for volume in pair)
    with tf.GradientTape() as tape:
        tape.watch([y_true, y_pred])
        value = loss(y_true, y_pred)
    to_true, to_pred = tape.gradient(value, [y_true, y_pred])
    assert to_true is None
    assert np.isfinite(to_pred).all()
    assert (np.abs(to_pred).max(axis=(1, 2, 3, 4)) > 0).all()


def test_network_is_frozen_and_ends_at_the_layer(loss):
    assert loss.network.trainable_weights == []
    assert [layer.name for layer in loss.network.layers[1:]] == [
        "block1_conv1",
        "block1_conv2",
        "block1_pool",
        "block2_conv1",
    ]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_view_takes_its_own_planes(pair, axis):
    """Change one plane of a view: the loss is above 0 only if that plane is chosen."""
    subset = MultiViewVGG("random", layer="block1_conv1", num_slices=1)
    y_true = pair[0]
    y_pred = y_true.copy()
    np.moveaxis(y_pred, axis + 1, 0)[4] = 0.0
    planes = np.full((3, 1), 2)
    view = ("sagittal", "coronal", "axial")[axis]
    assert float(subset.view_losses(y_true, y_pred, planes)[view]) == 0.0
    planes[axis] = 4
    assert float(subset.view_losses(y_true, y_pred, planes)[view]) > 0.0


def test_random_subset_of_planes_is_unbiased(pair):
    subset = MultiViewVGG("random", layer="block1_conv1", num_slices=3)
    everything = MultiViewVGG("random", layer="block1_conv1")
    y_true, y_pred = (volume[:1].copy() for volume in pair)
    # One plane differs far more than the others, which would reveal a bias.
    y_pred[:, 2] = 1 - y_true[:, 2]
    of_planes = tf.function(lambda planes: subset(y_true, y_pred, planes))
    values = [float(of_planes(tf.constant(draw_planes(seed)))) for seed in range(200)]
    standard_error = np.std(values) / np.sqrt(len(values))
    full = float(everything(y_true, y_pred))
    assert abs(np.mean(values) - full) < 4 * standard_error
    assert standard_error < 0.05 * full


def test_same_planes_same_loss(pair):
    subset = MultiViewVGG("random", layer="block1_conv1", num_slices=3)
    first, again, other = (float(subset(*pair, draw_planes(seed))) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_as_many_slices_as_planes_means_all(loss, pair):
    enough = MultiViewVGG("random", layer="block2_conv1", num_slices=12)
    assert float(enough(*pair)) == pytest.approx(float(loss(*pair)), rel=1e-6)


def test_subset_without_its_planes_is_refused(pair):
    with pytest.raises(ValueError, match="give planes"):
        MultiViewVGG("random", layer="block1_conv1", num_slices=3)(*pair)


def test_traces_once_for_all_planes(pair):
    subset = MultiViewVGG("random", layer="block1_conv1", num_slices=3)
    step = tf.function(lambda planes: subset(*pair, planes))
    values = {float(step(tf.constant(draw_planes(seed)))) for seed in range(5)}
    assert step.experimental_get_tracing_count() == 1
    assert len(values) == 5
    expected = float(subset(*pair, draw_planes(4)))
    assert float(step(tf.constant(draw_planes(4)))) == pytest.approx(expected, rel=1e-5)


def test_mixed_precision(bfloat16_policy, pair):
    mixed = MultiViewVGG("random", layer="block2_conv1")
    assert mixed.network.layers[1].compute_dtype == "bfloat16"
    y_pred = tf.constant(pair[1])
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = mixed(pair[0], y_pred)
    assert value.dtype == tf.float32
    assert np.isfinite(tape.gradient(value, y_pred)).all()
    keras.mixed_precision.set_dtype_policy("float32")
    full = MultiViewVGG("random", layer="block2_conv1")
    assert float(value) == pytest.approx(float(full(*pair)), rel=0.05)
