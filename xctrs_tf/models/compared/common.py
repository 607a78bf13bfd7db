"""What the factories of the compared networks share."""

import keras
from keras import layers

from xctrs_tf.geometry import VIEWS
from xctrs_tf.layers.blocks import convolution
from xctrs_tf.layers.view_alignment import align_view, pixel_shuffle


def film_inputs(size, batch_size):
    """The two films of every reconstruction network, as a dict."""
    return {view: layers.Input((size, size, 1), batch_size=batch_size, name=view) for view in VIEWS}


def ct_input(size, batch_size):
    """The volume that every segmentation network takes."""
    return layers.Input((size, size, size, 1), batch_size=batch_size, name="ct")


def class_probabilities(x, num_classes, style, name, *, kernel_size=1):
    """Head of a segmentation network: convolution and softmax in float32."""
    x = convolution(x, num_classes, style, f"{name}_head", kernel_size=kernel_size)
    return layers.Softmax(dtype="float32", name=name)(x)


def ct_from_slices(x, size):
    """Coronal slices that stand as channels, ``(batch, x, z, y)``, as a CT in float32."""
    x = pixel_shuffle(x, size, "slices")
    return float32_output(align_view(x, "ap", "align_ap"), "ct")


def float32_output(x, name):
    """An output in float32 under every precision policy."""
    return layers.Activation("linear", dtype="float32", name=name)(x)


def segmentation_model(ct, outputs, training_heads, name):
    """The model of a segmentation network with heads that only training needs.

    Args:
        ct: input tensor.
        outputs: dict of ``segmentation`` and the training heads.
        training_heads: whether the model gives the whole dict, or the
            segmentation alone.
        name: model name.

    Returns:
        `keras.Model`.
    """
    return keras.Model(ct, outputs if training_heads else outputs["segmentation"], name=name)


def without_training_heads(model):
    """The network that is used after training, sharing the weights.

    Args:
        model: a network, built with ``training_heads=True`` or not.

    Returns:
        `keras.Model` with the segmentation, or the CT, as its only output; the
        same model if it has no other.
    """
    if not isinstance(model.output, dict):
        return model
    output = next(name for name in ("segmentation", "ct") if name in model.output)
    return keras.Model(model.input, model.output[output], name=model.name)
