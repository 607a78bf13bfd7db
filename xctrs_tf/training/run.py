"""The networks and the engine of a run: building them, and loading a finished run."""

import contextlib
import dataclasses
import hashlib
import pathlib

import keras

from xctrs_tf.errors import UserError, one_line
from xctrs_tf.models.catalogue import NETWORKS
from xctrs_tf.models.compared.common import without_training_heads
from xctrs_tf.models.weight_sources import load_sources
from xctrs_tf.processor import bfloat16_is_slow, warn_once
from xctrs_tf.training import checkpoints
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.frozen_reconstruction import copied_run
from xctrs_tf.training.jax.compilation import fast_compilation
from xctrs_tf.training.run_record import read_config
from xctrs_tf.training.step.optimizer import make_optimizer, trained_variables


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run with the weights of one of its checkpoints.

    Attributes:
        path: the run folder.
        config: `TrainingConfig`.
        step: training step of the weights.
        reconstruction: model from films to CT, or None if the run segments CTs.
        segmentation: model from CT to probabilities, or None if the run trained
            none.
    """

    path: pathlib.Path
    config: TrainingConfig
    step: int
    reconstruction: keras.Model | None
    segmentation: keras.Model | None

    @property
    def computed_in(self):
        """List of the networks' dtype policies, which `computed_precision` chose."""
        networks = filter(None, (self.reconstruction, self.segmentation))
        return sorted({network.dtype_policy.name for network in networks})

    @property
    def weights_sha256(self):
        """Hash of the values of both networks' weights, as hexadecimal digits."""
        digest = hashlib.sha256()
        for network in filter(None, (self.reconstruction, self.segmentation)):
            for values in network.get_weights():
                digest.update(values.tobytes())
        return digest.hexdigest()


def computed_precision(config):
    """Return the dtype policy of a run's networks on this machine.

    It is that of the configuration, but float32 for mixed_bfloat16 where the processor would
    take longer with it, which one line says. The weights are float32 in both.

    Args:
        config: `TrainingConfig`.
    """
    backend = keras.backend.backend()
    if config.precision != "mixed_bfloat16" or not bfloat16_is_slow(backend):
        return config.precision
    warn_once(
        "--precision=mixed_bfloat16: this processor has no instructions for bfloat16, so the "
        "networks compute in float32, which is faster here"
    )
    return "float32"


def build_networks(config):
    """Build the networks that a run trains, seeded by its configuration.

    Args:
        config: `TrainingConfig`.

    Returns:
        Dict from network name to model: ``reconstruction``, ``segmentation`` and
        ``discriminator``, those that the objective uses.
    """
    keras.config.set_dtype_policy(config.precision)
    keras.utils.set_random_seed(config.seed)
    with fast_compilation() if keras.backend.backend() == "jax" else contextlib.nullcontext():
        return _build(config)


def freeze_network(config, networks):
    """Keep the network that a configuration freezes from being trained.

    Args:
        config: `TrainingConfig`.
        networks: dict of `build_networks`.
    """
    if config.freeze:
        networks[config.freeze].trainable = False


def load_initial_weights(config, networks):
    """Give the networks of a new run the weights that its configuration names.

    Args:
        config: `TrainingConfig`.
        networks: dict of `build_networks`.

    Returns:
        List of lines that tell what was loaded, and which networks begin at random.

    Raises:
        UserError: a source is missing or damaged or does not fit, or the frozen network got
            no weights.
    """
    if not config.initial_sources:
        return []
    try:
        found = load_sources(list(networks.values()), config.initial_sources)
    except UserError as error:
        raise UserError(f"--initial_weights={error}") from error
    lines = [f"--initial_weights={source}: {loaded}" for source, loaded in found]
    complete = {loaded.network for _, loaded in found if not loaded.missing + loaded.misshapen}
    for name, network in networks.items():
        if config.freeze == name and network.name not in complete:
            raise UserError(
                f"--freeze={name}: --initial_weights={config.initial_weights} does not have all "
                f"weights of {network.name}, which would stay random"
            )
        if all(loaded.network != network.name for _, loaded in found):
            lines.append(f"--initial_weights: no weights of {network.name}, which begins at random")
    return lines


def _build(config):
    sizes = {"size": config.size, "width": config.width}
    networks = {}
    if config.has_own_reconstruction:
        networks["reconstruction"] = NETWORKS[config.reconstruction].factory(**sizes)
    if config.uses_segmentation:
        segmentation, heads = NETWORKS[config.segmentation], {}
        if config.segmentation_objective == "published" and segmentation.training_heads:
            heads["training_heads"] = True
        networks["segmentation"] = segmentation.factory(**sizes, **heads)
    if config.is_adversarial:
        networks["discriminator"] = NETWORKS[config.reconstruction].discriminator_factory(**sizes)
    return networks


def load_run(path, checkpoint="best", precision=None):
    """Load a run's networks.

    Args:
        path: the run folder.
        checkpoint: ``"best"`` (lowest validation loss) or ``"last"``.
        precision: dtype policy of the networks; None for that of the training, as far
            as it is fast on this machine (`computed_precision`). The weights are float32
            in any case.

    Returns:
        `Run` with the ``config`` of the training. With --reconstruction_run it has
        the reconstruction network of that run.

    Raises:
        UserError: the folder is no run or holds no complete checkpoint.
    """
    path = pathlib.Path(path)
    config = read_config(path)
    # A missing checkpoint is refused before the networks are built, which takes seconds.
    _find_checkpoint(path, checkpoint)
    here = precision or computed_precision(config)
    networks = build_networks(dataclasses.replace(config, precision=here))
    networks.pop("discriminator", None)
    # The averages that a last checkpoint keeps are those of the trained weights.
    freeze_network(config, networks)
    state = None
    while state is None:
        state = _load_checkpoint(path, checkpoint, config, networks)
    if "segmentation" in networks:
        networks["segmentation"] = without_training_heads(networks["segmentation"])
    if config.reconstruction_run:
        frozen = load_run(copied_run(path), precision=precision)
        networks["reconstruction"] = frozen.reconstruction
    return Run(
        path, config, state["step"], networks.get("reconstruction"), networks.get("segmentation")
    )


def _find_checkpoint(path, checkpoint):
    """Return folder and state of a run's checkpoint."""
    folder = path / "best" if checkpoint == "best" else checkpoints.latest(path)
    state = checkpoints.read_state(folder) if folder else None
    if state is None:
        raise UserError(
            f"{path} holds no whole {checkpoint} checkpoint: let experiments.train run on, "
            "or choose the other of --checkpoint=best|last"
        )
    return folder, state


def _load_checkpoint(path, checkpoint, config, networks):
    """Load a checkpoint; return its state, or None if the training replaced it meanwhile."""
    folder, state = _find_checkpoint(path, checkpoint)
    try:
        checkpoints.load_weights(folder, networks)
        if config.ema_momentum and checkpoint == "last":
            _load_averages(folder, config, networks)
    except (OSError, ValueError, KeyError) as error:
        if checkpoints.read_state(folder) == state:
            raise UserError(
                f"{folder}: does not fit the networks of config.json ({one_line(error, 200)})"
            ) from error
        return None
    return state if checkpoints.read_state(folder) == state else None


def _load_averages(folder, config, networks):
    """Load the averaged weights, which a last checkpoint keeps with its optimizer."""
    optimizer, variables = make_optimizer(config), trained_variables(networks)
    optimizer.build(variables)
    checkpoints.load_optimizers(folder, {"optimizer": optimizer})
    optimizer.finalize_variable_values(variables)


def make_engine(config):
    """Make the engine of a run, before anything else is computed.

    Args:
        config: checked `TrainingConfig`.

    Returns:
        `TensorFlowEngine` or `JaxEngine`, which have the same methods.

    Raises:
        UserError: settings that the backend does not support.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from xctrs_tf.training.tensorflow.tensorflow_engine import TensorFlowEngine

        return TensorFlowEngine(config)
    if backend == "jax":
        from xctrs_tf.training.jax.jax_engine import JaxEngine

        return JaxEngine(config)
    raise UserError(f"KERAS_BACKEND={backend}: training needs tensorflow or jax")
