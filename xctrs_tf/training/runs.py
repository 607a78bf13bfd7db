"""Building a run's networks, and loading a finished run."""

import dataclasses
import pathlib

import keras

from xctrs_tf.errors import UserError
from xctrs_tf.models import MulSISNet, SpaDRNet
from xctrs_tf.training import checkpoints
from xctrs_tf.training.config import TrainingConfig, read_config


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run with the weights of one of its checkpoints.

    Attributes:
        path: the run folder.
        config: `TrainingConfig`.
        step: training step of the weights.
        reconstruction: model from films to CT.
        segmentation: model from CT to probabilities, or None if the run had no
            term for it.
    """

    path: pathlib.Path
    config: TrainingConfig
    step: int
    reconstruction: keras.Model
    segmentation: keras.Model | None


def build_networks(config):
    """The untrained networks of a configuration, seeded by it.

    Args:
        config: `TrainingConfig`.

    Returns:
        Dict from network name to model: ``reconstruction`` and, where the
        objective uses it, ``segmentation``.
    """
    keras.config.set_dtype_policy(config.precision)
    keras.utils.set_random_seed(config.seed)
    networks = {"reconstruction": SpaDRNet(config.size, config.width)}
    if config.uses_segmentation:
        networks["segmentation"] = MulSISNet(config.size, width=config.width)
    return networks


def load_run(path, checkpoint="best"):
    """Load a run's networks.

    Args:
        path: the run folder.
        checkpoint: ``"best"`` (lowest validation loss) or ``"last"``.

    Returns:
        `Run`.

    Raises:
        UserError: if the folder is no run or holds no whole checkpoint.
    """
    path = pathlib.Path(path)
    config = read_config(path)
    folder = path / "best" if checkpoint == "best" else checkpoints.latest(path)
    state = checkpoints.read_state(folder) if folder else None
    if state is None:
        raise UserError(
            f"{path} holds no whole {checkpoint} checkpoint: let experiments.train run on, "
            "or choose the other of --checkpoint=best|last"
        )
    networks = build_networks(config)
    checkpoints.load_weights(folder, networks)
    return Run(
        path, config, state["step"], networks["reconstruction"], networks.get("segmentation")
    )
