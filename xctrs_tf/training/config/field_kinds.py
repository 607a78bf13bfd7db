"""Kinds of the fields of `TrainingConfig`: where runs may differ in them."""

# Paths of a machine. What lies there is compared by its hash, or is another run.
PATHS = frozenset({"data", "reconstruction_run", "vgg_weights"})
# Further fields that name files or folders; other first weights make another run.
NAMES_OF_FILES = PATHS | {"initial_weights"}
# Which training of a method it is.
REPETITION = frozenset({"fold", "seed"})
# How long a run is, and how often it validates and saves.
INTERVALS = frozenset({"validate_every", "checkpoint_every"})
LENGTH = INTERVALS | {"steps", "patience"}
# How the same update is computed. These change it by rounding alone, except for the random
# units of dropout. Batch normalisation and CS2-Net's published loss use the patients of one
# part together, and depend on them (docs/training.md).
COMPUTATION = frozenset({"accumulation", "remat", "strategy", "deterministic"})
# What may differ between the methods of a table: the fields of
# xctrs_tf.models.catalogue.ROWS, and the precision, which some networks cannot change.
METHOD = frozenset(
    {
        *("reconstruction", "segmentation", "precision"),
        *("reconstruction_objective", "segmentation_objective"),
        *("batch_size", "optimizer", "learning_rate", "schedule", "beta_1", "beta_2"),
        *("momentum", "weight_decay"),
        *("mae_weight", "vgg_weight", "dice_weight", "rsc_weight", "stop_gradient_on_target"),
        *("cross_entropy_weight", "cross_entropy_balance", "cross_entropy_fade"),
    }
)

# What a later start of the same run may change.
FREE_ON_RESUME = LENGTH | COMPUTATION | {"data"}
# What may differ between the runs of a table. The steps of a number of epochs differ by the
# fold and by the batch; the tables tell them.
FREE_IN_TABLE = PATHS | REPETITION | COMPUTATION | INTERVALS | {"steps"}

_OF_RSC = frozenset({"stop_gradient_on_target"})
# Without effect on a run that does not segment.
OF_SEGMENTATION = _OF_RSC | {
    "cross_entropy_weight",
    "cross_entropy_balance",
    "cross_entropy_fade",
    "include_background",
}


def effective_fields(config):
    """Return the fields of a configuration that have an effect on its run.

    Args:
        config: `TrainingConfig`.

    Returns:
        Dict from name to value, without the fields of RSC or of the segmentation where the
        run has none.
    """
    without_effect = set()
    if not config.rsc_weight:
        without_effect |= _OF_RSC
    if not config.uses_segmentation:
        without_effect |= OF_SEGMENTATION
    return {name: value for name, value in config.to_json().items() if name not in without_effect}
