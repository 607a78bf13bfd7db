"""Inputs, outputs and training heads that the compared networks share."""

import keras
from keras import layers

from xctrs_tf.geometry import VIEWS
from xctrs_tf.layers.basic_layers import convolution
from xctrs_tf.layers.view_alignment import align_view, pixel_shuffle


def film_inputs(size, batch_size):
    """Return the inputs of a reconstruction network.

    Args:
        size: pixels a side.
        batch_size: batch size, or None.

    Returns:
        Dict of ``ap`` and ``la``, each ``(batch, size, size, 1)``.
    """
    return {view: layers.Input((size, size, 1), batch_size=batch_size, name=view) for view in VIEWS}


def ct_input(size, batch_size):
    """Return the input of a segmentation network.

    Args:
        size: voxels a side.
        batch_size: batch size, or None.

    Returns:
        Tensor ``(batch, size, size, size, 1)``.
    """
    return layers.Input((size, size, size, 1), batch_size=batch_size, name="ct")


def class_probabilities(x, num_classes, style, name, *, kernel_size=1):
    """Apply a convolution and a softmax in float32: the head of a segmentation network.

    Args:
        x: feature ``(batch, x, y, z, channels)``.
        num_classes: number of classes, background included.
        style: `xctrs_tf.layers.basic_layers.Style`.
        name: name of the softmax, prefix of the convolution's name.
        kernel_size: of the convolution.

    Returns:
        Tensor ``(batch, x, y, z, num_classes)``.
    """
    x = convolution(x, num_classes, style, f"{name}_head", kernel_size=kernel_size)
    return layers.Softmax(dtype="float32", name=name)(x)


def ct_from_slices(x, size):
    """Turn coronal slices, given as channels, into a CT in float32.

    Args:
        x: tensor ``(batch, x, z, y)``.
        size: voxels a side.

    Returns:
        Tensor ``(batch, x, y, z, 1)``.
    """
    x = pixel_shuffle(x, size, "slices")
    return float32_output(align_view(x, "ap", "align_ap"), "ct")


def float32_output(x, name):
    """Cast an output to float32 under every precision policy.

    Args:
        x: tensor of any shape.
        name: name of the output.

    Returns:
        Tensor of the same shape.
    """
    return layers.Activation("linear", dtype="float32", name=name)(x)


def segmentation_model(ct, outputs, training_heads, name):
    """Return the model of a segmentation network with or without its training heads.

    Args:
        ct: input tensor.
        outputs: dict of ``segmentation`` and the training heads.
        training_heads: give the whole dict; False: the segmentation alone.
        name: model name.

    Returns:
        `keras.Model`.
    """
    return keras.Model(ct, outputs if training_heads else outputs["segmentation"], name=name)


def without_training_heads(model):
    """Return a network without the outputs that only training needs.

    Args:
        model: `keras.Model` of a network, built with ``training_heads=True`` or
            not.

    Returns:
        `keras.Model` that shares the weights and has the segmentation or the CT
        as its only output; ``model`` itself if it has no other output.
    """
    if not isinstance(model.output, dict):
        return model
    output = next(name for name in ("segmentation", "ct") if name in model.output)
    return keras.Model(model.input, model.output[output], name=model.name)
