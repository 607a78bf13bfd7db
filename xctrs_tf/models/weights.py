"""Weights by the names of the layers: files, and loading what fits into a model.

Keras's own ``.weights.h5`` is read by the order of the layers, so that a file cannot be
loaded into a model of another graph. Here the names of network and layer decide.
"""

import dataclasses
import pathlib

import keras
import numpy as np

from xctrs_tf.errors import UserError, listed, one_line
from xctrs_tf.files import NPZ_ERRORS, atomic_path

KERAS_SUFFIX = ".weights.h5"
NUMPY_SUFFIX = ".npz"


@dataclasses.dataclass(frozen=True)
class LoadedWeights:
    """Layers that were loaded into one network.

    Attributes:
        network: name of the network.
        loaded: names of the layers whose weights were set.
        missing: layers of the network that the file lacks.
        misshapen: layers whose arrays have other shapes in the file.
    """

    network: str
    loaded: tuple
    missing: tuple
    misshapen: tuple

    def __str__(self):
        total = len(self.loaded) + len(self.missing) + len(self.misshapen)
        parts = [f"{self.network}: {len(self.loaded)} of {total} layers loaded"]
        if self.missing and self.loaded:
            parts.append(f"not in the file: {listed(self.missing)}")
        if self.misshapen:
            parts.append(f"of other shapes: {listed(self.misshapen)}")
        return "; ".join(parts)


def save_weights(path, networks, dtype=np.float32):
    """Write the weights of networks to one ``.npz`` file, by network and layer.

    Args:
        path: the file.
        networks: iterable of `keras.Model`, with distinct names.
        dtype: of the floating-point arrays in the file; float16 halves it.

    Raises:
        UserError: two weights have one name, so that the file would lack one of them.
    """
    arrays = {}
    for network in networks:
        for variable in network.variables:
            name = f"{network.name}/{variable.path}"
            if name in arrays:
                raise UserError(
                    f"{path}: two weights are called {name}; name networks and layers differently"
                )
            arrays[name] = _as_stored(variable, dtype)
    with atomic_path(pathlib.Path(path)) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_weights_by_name(model, path):
    """Load the weights of a file into the layers of the same names.

    Args:
        model: built `keras.Model`: one network, or several as layers of a model, as
            `XCTRSNet`.
        path: file of `save_weights` or of `keras.Model.save_weights` (``.weights.h5``),
            with one network or several.

    Returns:
        List of `LoadedWeights`, one for each network.

    Raises:
        UserError: the file cannot be read, or does not fit (`assign_weights`).
    """
    return assign_weights(networks_of(model), read_weights(path), path)


def assign_weights(networks, stored, source):
    """Set the weights of networks to those of the layers of the same names.

    Args:
        networks: list of built `keras.Model`.
        stored: as `read_weights` returns.
        source: where it was read, for messages.

    Returns:
        List of `LoadedWeights`, one for each network.

    Raises:
        UserError: nothing in it fits, or most of what it has for a network is of other shapes.
    """
    fits = [_fit(network, stored) for network in networks]
    found = [loaded for loaded, _ in fits]
    told = "; ".join(map(str, found))
    if not any(each.loaded for each in found):
        raise UserError(f"{source}: nothing in it fits the networks ({told})")
    if any(len(each.misshapen) > len(each.loaded) for each in found):
        raise UserError(
            f"{source}: of networks of another size or width ({told}); give --size and --width of "
            "its training"
        )
    for _, assignments in fits:
        for variable, value in assignments:
            variable.assign(value)
    return found


def networks_of(model):
    """Return the networks of a model that is composed of several, or the model alone.

    Args:
        model: built `keras.Model`.

    Returns:
        List of `keras.Model`.
    """
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    own = {id(variable) for network in nested for variable in network.variables}
    composed = nested and all(id(variable) in own for variable in model.variables)
    return nested if composed else [model]


def _fit(network, stored):
    """Return the `LoadedWeights` of one network, and its variables with their values."""
    arrays = {layer: values for (owners, layer), values in stored.items() if network.name in owners}
    loaded, missing, misshapen, assignments = [], [], [], []
    for layer, variables in _by_layer(network).items():
        values = arrays.get(layer)
        if values is None:
            missing.append(layer)
        elif [tuple(v.shape) for v in variables] != [value.shape for value in values]:
            misshapen.append(layer)
        else:
            assignments += zip(variables, values, strict=True)
            loaded.append(layer)
    fit = LoadedWeights(network.name, tuple(loaded), tuple(missing), tuple(misshapen))
    return fit, assignments


def _by_layer(network):
    """Return a dict from layer name to its variables, in order."""
    layers = {}
    for variable in network.variables:
        if variable.name != "seed_generator_state":
            layers.setdefault(_layer_of(variable.path), []).append(variable)
    return layers


def _layer_of(path):
    return path.rpartition("/")[0].rpartition("/")[2]


def _as_stored(variable, dtype):
    value = variable.numpy()
    # A weight that float16 cannot hold becomes infinite, which the export notices.
    with np.errstate(over="ignore"):
        return value.astype(dtype) if np.issubdtype(value.dtype, np.floating) else value


def read_weights(path):
    """Read a file of weights.

    Args:
        path: as for `load_weights_by_name`.

    Returns:
        Dict from ``(owners, layer)``, the names of the models around a layer and its own, to
        the list of its arrays.

    Raises:
        UserError: the file cannot be read.
    """
    path = pathlib.Path(path)
    read = _read_numpy if path.suffix == NUMPY_SUFFIX else _read_keras
    try:
        return read(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except NPZ_ERRORS as error:
        raise UserError(
            f"{path}: no weights of Keras ({KERAS_SUFFIX}) or of this project ({NUMPY_SUFFIX}), or "
            f"damaged ({one_line(error, 100)})"
        ) from error


def _read_numpy(path):
    stored = {}
    # Not pickled: a file of someone else must not run code.
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            network, _, variable = key.partition("/")
            stored.setdefault(((network,), _layer_of(variable)), []).append(arrays[key])
    return stored


def _read_keras(path):
    import h5py

    stored = {}

    def visit(group, owners):
        name = group["vars"].attrs["name"] if "vars" in group else None
        if name is not None and len(group["vars"]):
            values = group["vars"]
            stored[owners, name] = [values[str(index)][()] for index in range(len(values))]
        owners = owners if name is None else (*owners, name)
        for key in group:
            if key != "vars" and isinstance(group[key], h5py.Group):
                visit(group[key], owners)

    with h5py.File(path, "r") as file:
        visit(file, ())
    return stored
