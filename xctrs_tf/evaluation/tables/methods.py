"""Names of runs in tables and pictures, from the networks that they trained."""

from xctrs_tf.models.catalogue import NETWORKS, XCTRSNET


def method_name(config, frozen=None):
    """Name of the method that a run trained.

    Networks that learn together are joined by ``+``; a segmentation after a
    finished reconstruction follows it behind ``>``.

    Args:
        config: the run's `TrainingConfig`.
        frozen: that of the run whose finished reconstruction it builds on, if any.

    Returns:
        Such as ``"X-CTRSNet"``, ``"SpaDRNet + VGG"`` or ``"SpaDRNet + VGG > 3D UNet"``.
    """
    segmentation = NETWORKS[config.segmentation].title if config.uses_segmentation else None
    if frozen is not None:
        return f"{method_name(frozen)} > {segmentation}"
    if not config.reconstructs:
        return f"{segmentation} on the CT"
    pair = (config.reconstruction, config.segmentation)
    if config.rsc_weight and pair == ("spadrnet", "mulsisnet"):
        return XCTRSNET
    parts = [NETWORKS[config.reconstruction].title]
    if config.vgg_weight:
        parts.append("VGG")
    if segmentation:
        parts.append(segmentation)
    if config.rsc_weight:
        parts.append("RSC")
    return " + ".join(parts)
