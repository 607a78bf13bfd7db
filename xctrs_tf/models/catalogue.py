"""The catalogue of the networks and of the rows of the paper's tables.

Flags, presets, tables, figures and cross-validation all read this one list. Importing
it does not import Keras: a network's factory is loaded when it is asked for, so that a
mistaken flag is reported at once.
"""

import dataclasses
import importlib


@dataclasses.dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        name: in flags and files.
        title: in tables and figures.
        task: ``"reconstruction"``, from ``{"ap", "la"}`` to a CT, or
            ``"segmentation"``, from a CT to class probabilities.
        path: ``module:factory``; the factory takes ``(size, width=..., batch_size=..., name=...)``.
            Its operations are counted with ``batch_size=1``, by the rules for layers in
            `models.complexity`.
        table: number of the paper's table that has a row of its own for the
            network, or None.
        published_objective: its authors train it with a loss of their own
            (`xctrs_tf.losses.compared`).
        training_heads: it was published with further outputs for its training; its
            factory takes ``training_heads=True``. Those of X2CT-GAN have no loss here.
        discriminator: ``module:factory`` of the network that it is trained
            against with its published objective, or None.
        published_training: fields of `TrainingConfig` as in its publication: the
            optimizer, its schedule, the batch and the loss. Sources:
            docs/compared_networks.md.
    """

    name: str
    title: str
    task: str
    path: str
    table: int | None = None
    published_objective: bool = False
    training_heads: bool = False
    discriminator: str | None = None
    published_training: dict = dataclasses.field(default_factory=dict, hash=False)

    @property
    def factory(self):
        """Function that builds the network; imports Keras."""
        return _load(self.path)

    @property
    def discriminator_factory(self):
        """Function that builds the network's discriminator; imports Keras."""
        return _load(self.discriminator)


def _load(path):
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


_COMPARED = "xctrs_tf.models.compared"
# Ge et al. (2022), Sect. 3.1, with the readings of docs/fidelity.md.
_AS_PRINTED = {
    "batch_size": 1,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "mae_weight": 1.0,
    "vgg_weight": 1e-7,
    "cross_entropy_weight": 0.0,
    "stop_gradient_on_target": False,
}
# The published weights of the terms are multiplied by mae_weight or dice_weight. The
# published 50 + 50 epochs are --epochs=100: the steps stay those of the run.
_X2CT = {
    "mae_weight": 1.0,
    "batch_size": 4,
    "learning_rate": 2e-4,
    "beta_1": 0.5,
    "beta_2": 0.99,
    "schedule": "constant_linear",
}
_OWN_OBJECTIVE = {
    "segmentation_objective": "published",
    "dice_weight": 1.0,
    "cross_entropy_weight": 0.0,
}
_POLYNOMIAL = {"schedule": "polynomial", "weight_decay": 5e-4}

# In the order of the paper's tables.
_NETWORKS = (
    Network(
        "spadrnet",
        "SpaDRNet",
        "reconstruction",
        "xctrs_tf.models.spadrnet:SpaDRNet",
        published_training=_AS_PRINTED,
    ),
    Network(
        "sit",
        "SIT",
        "reconstruction",
        f"{_COMPARED}.sit:SIT",
        table=2,
        published_objective=True,
        published_training={**_X2CT, "weight_decay": 1e-4},
    ),
    Network(
        "psr",
        "PSR",
        "reconstruction",
        f"{_COMPARED}.psr:PSR",
        table=2,
        published_objective=True,
        published_training={**_X2CT, "batch_size": 1, "beta_2": 0.999, "schedule": "constant"},
    ),
    Network(
        "x2ctgan",
        "X2CT-GAN",
        "reconstruction",
        f"{_COMPARED}.x2ctgan:X2CTGAN",
        table=2,
        published_objective=True,
        training_heads=True,
        discriminator=f"{_COMPARED}.x2ct_discriminator:X2CTDiscriminator",
        published_training=_X2CT,
    ),
    Network(
        "unet3d",
        "3D UNet",
        "segmentation",
        f"{_COMPARED}.unet3d:UNet3D",
        table=3,
        published_objective=True,
        published_training={
            **_OWN_OBJECTIVE,
            "batch_size": 1,
            "learning_rate": 2e-4,
            "schedule": "constant",
            "weight_decay": 1e-5,
        },
    ),
    Network(
        "dsn",
        "DSN",
        "segmentation",
        f"{_COMPARED}.dsn:DSN",
        table=3,
        published_objective=True,
        training_heads=True,
        published_training={
            **_OWN_OBJECTIVE,
            **_POLYNOMIAL,
            "batch_size": 4,
            "optimizer": "sgd",
            "learning_rate": 1e-2,
            "momentum": 0.9,
        },
    ),
    Network(
        "densebiasnet",
        "DenseBiasNet",
        "segmentation",
        f"{_COMPARED}.densebiasnet:DenseBiasNet",
        table=3,
        published_objective=True,
        published_training={
            **_OWN_OBJECTIVE,
            "batch_size": 1,
            "learning_rate": 1e-4,
            "schedule": "constant",
        },
    ),
    Network(
        "cs2net",
        "CS²-Net",
        "segmentation",
        f"{_COMPARED}.cs2net:CS2Net",
        table=3,
        published_objective=True,
        published_training={
            **_OWN_OBJECTIVE,
            **_POLYNOMIAL,
            "batch_size": 2,
            "learning_rate": 1e-4,
        },
    ),
    Network(
        "conresnet",
        "ConResNet",
        "segmentation",
        f"{_COMPARED}.conresnet:ConResNet",
        table=3,
        published_objective=True,
        training_heads=True,
        published_training={
            **_OWN_OBJECTIVE,
            **_POLYNOMIAL,
            "batch_size": 2,
            "learning_rate": 1e-4,
        },
    ),
    Network(
        "mulsisnet",
        "MulSISNet",
        "segmentation",
        "xctrs_tf.models.mulsisnet:MulSISNet",
        table=3,
        published_training=_AS_PRINTED,
    ),
)
NETWORKS = {network.name: network for network in _NETWORKS}


def _names(task):
    """Names of a task's networks, X-CTRSNet's own first, which is the flags' default."""
    networks = [network for network in _NETWORKS if network.task == task]
    return tuple(n.name for n in sorted(networks, key=lambda n: n.published_objective))


RECONSTRUCTION_NETWORKS = _names("reconstruction")
SEGMENTATION_NETWORKS = _names("segmentation")

XCTRSNET = "X-CTRSNet"
MEAN_VOLUME = "mean volume"


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the paper's tables.

    Attributes:
        name: in flags and files.
        title: in tables and figures.
        networks: names of the networks that a patient passes through; those of
            Table 3 come after a reconstruction that they share.
        config: fields of `TrainingConfig` that make the row, as a dict.
        published: further fields: how the authors of its network train it.
    """

    name: str
    title: str
    networks: tuple = ()
    config: dict = dataclasses.field(default_factory=dict)
    published: dict = dataclasses.field(default_factory=dict)

    def training(self, published):
        """Return the fields of `TrainingConfig` of the row.

        Args:
            published: whether the row is trained as its authors train it.
        """
        return {**self.published, **self.config} if published else self.config


_NO_SEGMENTATION = {"dice_weight": 0.0, "rsc_weight": 0.0}
_NO_RECONSTRUCTION_TERMS = {"vgg_weight": 0.0, "rsc_weight": 0.0}

# X-CTRSNet, with which the tables compare every other row.
REFERENCE_ROW = "table1-xctrsnet"
# The network that makes the reconstructions that Table 3 segments: SpaDRNet with all
# losses of its own, which has seen no segmentation.
RECONSTRUCTION_ROW = "table1-vgg"
# The mean training volume, which looks at no film; it is not trained.
MEAN_VOLUME_ROW = "mean-volume"


def _compared_row(network):
    """Row of Table 2 or 3 for a network."""
    changes = {network.task: network.name}
    if network.task == "reconstruction":
        changes |= {**_NO_SEGMENTATION, "vgg_weight": 0.0}
        if network.published_objective:
            changes["reconstruction_objective"] = "published"
    else:
        changes |= _NO_RECONSTRUCTION_TERMS
    name = f"table{network.table}-{network.name}"
    published = network.published_training
    return Row(name, network.title, (network.name,), changes, published)


_PAIR = ("spadrnet", "mulsisnet")
_ROWS = (
    Row(
        "table1-spadrnet",
        "SpaDRNet",
        _PAIR[:1],
        {**_NO_SEGMENTATION, "vgg_weight": 0.0},
        _AS_PRINTED,
    ),
    Row("table1-vgg", "SpaDRNet + VGG", _PAIR[:1], _NO_SEGMENTATION, _AS_PRINTED),
    Row(
        "table1-mulsisnet",
        "SpaDRNet + VGG + MulSISNet",
        _PAIR,
        {"rsc_weight": 0.0},
        _AS_PRINTED,
    ),
    Row(REFERENCE_ROW, XCTRSNET, _PAIR, {}, _AS_PRINTED),
    *(_compared_row(network) for network in _NETWORKS if network.table is not None),
)
# Every row that is trained, in the order of the paper's tables.
ROWS = {row.name: row for row in _ROWS}
# All that have a line in a table.
TABLE_ROWS = {**ROWS, MEAN_VOLUME_ROW: Row(MEAN_VOLUME_ROW, MEAN_VOLUME)}


def rows_of_table(number):
    """List the trained rows of a table, X-CTRSNet last.

    Args:
        number: 1, 2 or 3.

    Returns:
        Tuple of names in `ROWS`.

    Ge et al. (2022), Table 1, 2, 3.
    """
    own = [name for name in ROWS if name.startswith(f"table{number}-") and name != REFERENCE_ROW]
    return (*own, REFERENCE_ROW)
