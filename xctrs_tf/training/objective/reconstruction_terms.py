"""Loss terms of the reconstruction network."""

from xctrs_tf.losses import (
    ADVERSARIAL_WEIGHT,
    PROJECTION_WEIGHT,
    VOXEL_WEIGHT,
    adversarial_loss,
    mean_absolute_error,
    mean_squared_error,
    projection_loss,
)

# Weights of the terms of a compared network's publication.
PUBLISHED_WEIGHTS = {
    "sit": {"mse": 1.0},
    "psr": {"mse": 1.0},
    "x2ctgan": {
        "mse": VOXEL_WEIGHT,
        "projection": PROJECTION_WEIGHT,
        "adversarial": ADVERSARIAL_WEIGHT,
    },
}


class ReconstructionTerms:
    """A weighted sum of losses of the reconstruction.

    Args:
        weights: dict from ``mae`` (Eq. 11), ``vgg`` (Eq. 10), ``mse``,
            ``projection`` or ``adversarial`` to its weight. A term of weight 0
            is not computed, except ``mae``, which is always recorded.
        vgg: `MultiViewVGG` where ``vgg`` has a weight.
    """

    def __init__(self, weights, vgg=None):
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.vgg = vgg

    @property
    def is_adversarial(self):
        """True if there is an adversarial term."""
        return "adversarial" in self.weights

    def __call__(self, batch, ct, scores=None):
        """Return all terms, unweighted.

        Args:
            batch: dict with the patients' ``ct`` and, where the VGG loss takes a
                subset, ``vgg_planes``.
            ct: reconstruction ``(batch, x, y, z, 1)``.
            scores: output of the discriminator for ``ct``; without it there is
                no adversarial term.

        Returns:
            Dict of float32 scalars.

        Ge et al. (2022), Eq. 10, 11.
        """
        terms = {"mae": mean_absolute_error(batch["ct"], ct)}
        if "mse" in self.weights:
            terms["mse"] = mean_squared_error(batch["ct"], ct)
        if "vgg" in self.weights:
            terms["vgg"] = self.vgg(batch["ct"], ct, batch.get("vgg_planes"))
        if "projection" in self.weights:
            terms["projection"] = projection_loss(batch["ct"], ct)
        if self.is_adversarial and scores is not None:
            terms["adversarial"] = adversarial_loss(scores)
        return terms
