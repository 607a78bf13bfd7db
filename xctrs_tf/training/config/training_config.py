"""The fields of a training configuration: defaults, help, and which values are valid."""

import dataclasses
import math

from xctrs_tf.data.dataset.mixture import parse_data
from xctrs_tf.data.films.film_normalisation import FILM_NORMALIZATIONS
from xctrs_tf.data.stream.augmentation import AUGMENTATIONS, OF_FILMS, augmentation_shares
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import SIZES
from xctrs_tf.models.catalogue import (
    NETWORKS,
    RECONSTRUCTION_NETWORKS,
    SEGMENTATION_NETWORKS,
)
from xctrs_tf.processor import FPMATHS

# The terms of the objective, in the order of Table 1; the last is not in the paper.
TERMS = ("mae", "vgg", "dice", "rsc", "cross_entropy")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine", "constant_linear", "polynomial")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STRATEGIES = ("single", "mirrored", "multi_worker")

OBJECTIVES = ("terms", "published")
NO_RECONSTRUCTION = "none"
FREEZABLE = ("reconstruction", "segmentation")
_CHOICES = {
    "film_normalization": FILM_NORMALIZATIONS,
    "precision": PRECISIONS,
    "fpmath": FPMATHS,
    "strategy": STRATEGIES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "reconstruction": (*RECONSTRUCTION_NETWORKS, NO_RECONSTRUCTION),
    "segmentation": SEGMENTATION_NETWORKS,
    "reconstruction_objective": OBJECTIVES,
    "segmentation_objective": OBJECTIVES,
}
_WIDEST = 64


def _option(default, help):
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Configuration of one training run; every field is a flag of `experiments.train`.

    Defaults are those of the paper where it states them: Adam with learning rate
    1e-3. docs/fidelity.md explains the others.

    Ge et al. (2022), Sect. 3.1.
    """

    data: str = _option(
        "",
        "prepared data folder (experiments.prepare), or several with their shares of the samples, "
        "as A:0.5,B:0.5; validation and test patients are those of the first",
    )
    fold: int = _option(0, "cross-validation fold whose patients are held out")
    size: int = _option(128, "voxels a side: 32, 64 or 128; that of the data")
    reconstruction: str = _option(
        "spadrnet",
        f"network: {', '.join(RECONSTRUCTION_NETWORKS)}; "
        "none: segmentation is trained on the patients' CTs",
    )
    segmentation: str = _option(
        "mulsisnet",
        f"network: {', '.join(SEGMENTATION_NETWORKS)}; "
        "without --dice_weight and --rsc_weight there is none",
    )
    reconstruction_objective: str = _option(
        "terms",
        "terms: MAE and VGG; published: the loss of the network's publication, in place of MAE",
    )
    segmentation_objective: str = _option(
        "terms",
        "terms: Dice; published: the loss of the network's publication, in its place",
    )
    reconstruction_run: str = _option(
        "",
        "finished run whose reconstruction network is used unchanged; only segmentation is trained",
    )
    initial_weights: str = _option(
        "",
        "weights to begin with, by the names of the layers: finished runs, exported models, files "
        "of weights or names of pretrained weights, separated by commas",
    )
    freeze: str = _option(
        "", "network that is not trained but takes part: reconstruction or segmentation"
    )
    width: float = _option(1.0, "factor on the number of filters of every layer")
    steps: int = _option(20000, "training steps; --epochs sets them from the number of patients")
    batch_size: int = _option(1, "patients a step, on all replicas together")
    accumulation: int = _option(
        1, "parts into which a replica's batch is split, one after another: less memory"
    )
    optimizer: str = _option("adam", "adam, or sgd: stochastic gradient descent with momentum")
    learning_rate: float = _option(1e-3, "of the optimizer, at the first step")
    beta_1: float = _option(0.9, "of Adam: decay of the mean gradient")
    beta_2: float = _option(0.999, "of Adam: decay of the mean squared gradient")
    momentum: float = _option(0.9, "of sgd")
    weight_decay: float = _option(
        0.0, "adds this number times the weight to each weight's gradient (L2 penalty); 0: none"
    )
    schedule: str = _option(
        "constant",
        "learning rate: constant; cosine decay to 0; constant_linear, constant for the first "
        "half of the steps and then linear to 0; or polynomial, (1 - step / steps) to the 0.9",
    )
    clip_norm: float = _option(0.0, "gradients are clipped to this global norm; 0: no clipping")
    ema_momentum: float = _option(
        0.0,
        "momentum of the moving average of the weights that is validated and kept; 0: no average",
    )
    mae_weight: float = _option(1.0, "of the voxel loss (Eq. 11); 0 leaves it out")
    vgg_weight: float = _option(1e-7, "of the multi-view VGG loss (Eq. 10); 0 leaves it out")
    dice_weight: float = _option(
        1.0, "of the Dice loss on the reconstruction's segmentation (Eq. 15); 0 leaves it out"
    )
    rsc_weight: float = _option(1.0, "of both RSC terms (Eq. 16); 0 leaves them out")
    cross_entropy_weight: float = _option(
        0.0, "of a cross-entropy added to every Dice loss with the labels; not in the paper"
    )
    cross_entropy_balance: float = _option(
        0.0, "weights in the cross-entropy: 0 equal for voxels, 1 equal for classes"
    )
    cross_entropy_fade: float = _option(
        0.0, "fraction of the steps over which the cross-entropy falls linearly to 0; 0 keeps it"
    )
    vgg_weights: str = _option("imagenet", "VGG16 weights: imagenet, random or a file")
    vgg_layer: str = _option("block3_conv3", "VGG16 layer whose features are compared")
    vgg_slices: int = _option(
        4, "planes per view and step in the VGG loss, drawn at random; 0 takes all"
    )
    include_background: bool = _option(False, "count the background in the Dice means")
    stop_gradient_on_target: bool = _option(
        False, "no gradient of the RSC divergence into the segmentation of the CT"
    )
    augment: str = _option(
        "", f"random augmentations, as mirror,films:0.5 (with shares): {', '.join(AUGMENTATIONS)}"
    )
    film_normalization: str = _option(
        "percentile",
        "grey values of the films: percentile, scaled between the 0.5 and the 99.5 percentile; "
        "equalized, by their ranks, which no exposure changes (docs/results_films.md)",
    )
    precision: str = _option("float32", f"one of {', '.join(PRECISIONS)}")
    fpmath: str = _option(
        "float32",
        "bfloat16: on a processor with AMX, TensorFlow rounds the inputs of float32 products to "
        "bfloat16, which is faster; elsewhere it changes nothing",
    )
    remat: bool = _option(
        False, "compute features again in the backward pass instead of keeping them: less memory"
    )
    strategy: str = _option(
        "single",
        "single: one device; mirrored: all GPUs of this machine; multi_worker: those of several "
        "(docs/training.md)",
    )
    deterministic: bool = _option(False, "reproducible results; slower on GPUs")
    seed: int = _option(0, "of weights, order, augmentation and VGG planes")
    validate_every: int = _option(500, "steps between validations; the best weights are kept")
    patience: int = _option(
        0, "validations without a lower loss after which the run ends; 0: never"
    )
    checkpoint_every: int = _option(500, "steps between checkpoints")

    @property
    def augment_entries(self):
        """Entries of ``augment``, as a tuple."""
        return tuple(name.strip() for name in self.augment.split(",") if name.strip())

    @property
    def uses_segmentation(self):
        """True if a term needs the segmentation network."""
        return bool(self.dice_weight or self.rsc_weight)

    @property
    def has_own_reconstruction(self):
        """True if the run has a reconstruction network of its own, which may be frozen."""
        return self.reconstruction != NO_RECONSTRUCTION and not self.reconstruction_run

    @property
    def learns_reconstruction(self):
        """True if the run changes a reconstruction network."""
        return self.has_own_reconstruction and self.freeze != "reconstruction"

    @property
    def data_folder(self):
        """Folder of the validation and test patients: the first one in ``data``."""
        return parse_data(self.data)[0].path

    @property
    def initial_sources(self):
        """Names in ``initial_weights``, as a tuple."""
        return tuple(name.strip() for name in self.initial_weights.split(",") if name.strip())

    @property
    def reconstructs(self):
        """True if there is a reconstruction, of this run or of a finished one."""
        return self.reconstruction != NO_RECONSTRUCTION or bool(self.reconstruction_run)

    @property
    def is_adversarial(self):
        """True if a discriminator is trained against the reconstruction network."""
        if not self.has_own_reconstruction or self.reconstruction_objective != "published":
            return False
        return NETWORKS[self.reconstruction].discriminator is not None

    @property
    def drawn_vgg_planes(self):
        """Planes of each view that are drawn for a step's VGG loss; 0 where all or none count."""
        return self.vgg_slices if self.uses_vgg and self.vgg_slices < self.size else 0

    @property
    def uses_vgg(self):
        """True if the VGG loss is computed."""
        return bool(self.vgg_weight) and self.learns_reconstruction

    def check(self):
        """Raise UserError for the first invalid value."""
        if not self.data:
            raise UserError("--data is missing: name a folder made by experiments.prepare")
        if len(parse_data(self.data)) > 1 and self.reconstruction_run:
            raise UserError("--data: with --reconstruction_run name one folder")
        if self.size not in SIZES:
            raise UserError(f"--size={self.size}: must be one of {', '.join(map(str, SIZES))}")
        for name, choices in _CHOICES.items():
            self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
        changes = augmentation_shares(self.augment_entries)
        if "cubes" in changes and self.reconstructs:
            raise UserError("--augment=cubes: changes the CT alone; use --reconstruction=none")
        unseen = [name for name in changes if name in OF_FILMS]
        if unseen and not self.reconstructs:
            raise UserError(
                f"--augment={unseen[0]}: changes the films alone, which no network gets with "
                "--reconstruction=none; leave it out"
            )
        if self.film_normalization == "equalized" and "histogram" in changes:
            raise UserError(
                "--augment=histogram: no curve changes films of --film_normalization=equalized; "
                "leave it out"
            )
        for field in dataclasses.fields(self):
            if type(field.default) is float:
                self._require(field.name, math.isfinite(getattr(self, field.name)), "finite")
        every = ("validate_every", "checkpoint_every")
        for name in ("width", "steps", "batch_size", "accumulation", "learning_rate", *every):
            self._require(name, getattr(self, name) > 0, "above 0")
        for name in ("beta_1", "beta_2", "momentum", "ema_momentum"):
            self._require(name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        for name in ("cross_entropy_balance", "cross_entropy_fade"):
            self._require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        weights = [f"{term}_weight" for term in TERMS]
        counts = ("vgg_slices", "patience", "seed", "fold")
        for name in (*counts, "clip_norm", "weight_decay", *weights):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        # Keras's bound of a seed, and a bound of layers that fit into memory.
        self._require("seed", self.seed < 2**32, f"below {2**32}")
        self._require("width", self.width <= _WIDEST, f"at most {_WIDEST}")
        if not (self.mae_weight or self.vgg_weight or self.uses_segmentation):
            raise UserError("--mae_weight, --vgg_weight, --dice_weight and --rsc_weight are all 0")
        self._check_objectives()
        self._check_freeze()

    def _check_objectives(self):
        for task in ("reconstruction", "segmentation"):
            name = getattr(self, task)
            published = [
                network.name
                for network in NETWORKS.values()
                if network.task == task and network.published_objective
            ]
            if getattr(self, f"{task}_objective") == "published" and name not in published:
                raise UserError(
                    f"--{task}_objective=published: {name} has no other than the terms; "
                    f"leave it out, or choose --{task} of {', '.join(published)}"
                )
        if self.has_own_reconstruction:
            return
        if not self.uses_segmentation:
            raise UserError(
                "nothing is left to learn: no reconstruction network learns, and --dice_weight "
                "and --rsc_weight are 0"
            )
        if not self.reconstruction_run:
            if self.rsc_weight:
                raise UserError("--rsc_weight: compares with a reconstruction; set it to 0")
            return
        unfit = [name for name in augmentation_shares(self.augment_entries) if name != "mirror"]
        if unfit:
            raise UserError(
                f"--augment={unfit[0]}: changes the films, whose reconstructions are made once "
                "with --reconstruction_run; leave it out"
            )

    def _check_freeze(self):
        if not self.freeze:
            return
        self._require("freeze", self.freeze in FREEZABLE, f"one of {', '.join(FREEZABLE)}")
        if not (self.has_own_reconstruction and self.uses_segmentation):
            raise UserError(
                f"--freeze={self.freeze}: needs both networks; without it the other one is left "
                "out by --reconstruction=none, or by --dice_weight=0 and --rsc_weight=0"
            )
        if not self.initial_weights:
            raise UserError(
                f"--freeze={self.freeze}: a network that was never trained would be frozen; "
                "name its weights with --initial_weights"
            )
        if self.is_adversarial and self.freeze == "reconstruction":
            raise UserError("--freeze=reconstruction: leave out --reconstruction_objective")

    def check_types(self):
        """Raise ValueError unless every value has the type of its default."""
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise ValueError(f"{field.name} is {value!r:.40}, not of type {kind.__name__}")

    def _require(self, name, holds, what):
        if not holds:
            raise UserError(f"--{name}={getattr(self, name)}: must be {what}")

    def to_json(self):
        """Dict for config.json."""
        return dataclasses.asdict(self)
