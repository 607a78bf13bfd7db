"""The terms that compare a reconstruction with the patient's CT."""

from xctrs_tf.losses import (
    ADVERSARIAL_WEIGHT,
    PROJECTION_WEIGHT,
    VOXEL_WEIGHT,
    adversarial_loss,
    mean_absolute_error,
    mean_squared_error,
    projection_loss,
)

# What the authors of the compared networks minimise, by term.
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
            is not computed, but for ``mae``, which costs nothing and is told.
        vgg: `MultiViewVGG` where ``vgg`` has a weight.
    """

    def __init__(self, weights, vgg=None):
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.vgg = vgg

    @property
    def is_adversarial(self):
        """Whether a discriminator takes part."""
        return "adversarial" in self.weights

    def __call__(self, batch, ct, seed, scores=None):
        """All terms, unweighted.

        Args:
            batch: dict with the patient's ``ct``.
            ct: reconstruction ``(batch, x, y, z, 1)``.
            seed: integer scalar tensor that chooses the VGG loss's planes.
            scores: the discriminator's on ``ct``; without them there is no
                adversarial term.

        Returns:
            Dict of float32 scalars.
        """
        terms = {"mae": mean_absolute_error(batch["ct"], ct)}
        if "mse" in self.weights:
            terms["mse"] = mean_squared_error(batch["ct"], ct)
        if "vgg" in self.weights:
            terms["vgg"] = self.vgg(batch["ct"], ct, seed)
        if "projection" in self.weights:
            terms["projection"] = projection_loss(batch["ct"], ct)
        if self.is_adversarial and scores is not None:
            terms["adversarial"] = adversarial_loss(scores)
        return terms
