"""Frozen VGG16, the feature network of the multi-view loss.

K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale
image recognition", 2014.
"""

import pathlib
import warnings

import keras
import numpy as np

from xctrs_tf.errors import UserError
from xctrs_tf.files import NPZ_ERRORS

# The seed of 'random' weights: every run compares the same random features.
_RANDOM_SEED = 0

_REMEDY = "give --vgg_weights=FILE (.weights.h5 of Keras's VGG16, or .npz) or --vgg_weights=random"


def truncated_vgg16(weights, layer):
    """Build VGG16 up to a convolution, frozen.

    Args:
        weights: `"imagenet"` (downloaded by `keras.applications`), `"random"`
            (He-normal, always the same), or the path of a file: `.weights.h5`
            of `keras.applications.VGG16(include_top=False)`, or `.npz` with
            the arrays `<layer>/kernel` and `<layer>/bias`.
        layer: name of a convolution of `keras.applications.VGG16`.

    Returns:
        `keras.Model` from BGR images `(batch, rows, columns, 3)` without their
        ImageNet mean to features after the ReLU; not trainable.

    Raises:
        UserError: unknown layer, failed download, or unusable file.
    """
    network = _whole_network(weights)
    network = _truncate(network, layer)
    if weights == "random":
        _set_weights(network, _he_normal(np.random.default_rng(_RANDOM_SEED)))
    elif str(weights).endswith(".npz"):
        _set_weights(network, _arrays_of(weights))
    network.trainable = False
    return network


def _whole_network(weights):
    """Return VGG16 without its classifier, with its weights if Keras reads them."""
    if weights == "imagenet":
        return _downloaded()
    network = keras.applications.VGG16(weights=None, include_top=False)
    if weights == "random":
        return network
    path = pathlib.Path(weights)
    if not path.is_file():
        raise UserError(f"VGG16 weights {path}: no such file; {_REMEDY}")
    if path.suffix not in (".h5", ".npz"):
        raise UserError(f"VGG16 weights {path}: neither .weights.h5 nor .npz; {_REMEDY}")
    if path.suffix == ".h5":
        try:
            with warnings.catch_warnings():
                # Keras warns of some of what it then raises.
                warnings.simplefilter("ignore", UserWarning)
                network.load_weights(path)
        except (KeyError, OSError, ValueError) as error:
            raise UserError(f"VGG16 weights {path}: not of Keras's VGG16; {_REMEDY}") from error
    return network


def _downloaded():
    # Keras reports every failed download as a bare Exception.
    try:
        return keras.applications.VGG16(weights="imagenet", include_top=False)
    except Exception as error:
        raise UserError(f"VGG16 ImageNet weights: download failed ({error}); {_REMEDY}") from error


def _truncate(network, layer):
    convolutions = [each.name for each in network.layers if "_conv" in each.name]
    if layer not in convolutions:
        raise UserError(f"--vgg_layer={layer}: not one of {', '.join(convolutions)}")
    return keras.Model(network.input, network.get_layer(layer).output, name="vgg16")


def _he_normal(generator):
    def arrays(name, kernel_shape):
        del name
        deviation = np.sqrt(2.0 / np.prod(kernel_shape[:-1]))
        return generator.normal(0.0, deviation, kernel_shape), np.zeros(kernel_shape[-1])

    return arrays


def _arrays_of(path):
    try:
        with open(path, "rb") as file:
            stored = dict(np.load(file))
    except NPZ_ERRORS as error:
        raise UserError(f"VGG16 weights {path}: not an .npz of arrays; {_REMEDY}") from error

    def arrays(name, kernel_shape):
        try:
            kernel, bias = stored[f"{name}/kernel"], stored[f"{name}/bias"]
        except KeyError as error:
            raise UserError(f"VGG16 weights {path}: {name} is missing; {_REMEDY}") from error
        if kernel.shape != kernel_shape:
            raise UserError(f"VGG16 weights {path}: {name}/kernel is not {kernel_shape}; {_REMEDY}")
        return kernel, bias

    return arrays


def _set_weights(network, arrays):
    """Set every convolution to `arrays(name, kernel_shape) -> (kernel, bias)`."""
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(arrays(layer.name, tuple(layer.kernel.shape)))
