"""The training loss (Eq. 1): a weighted sum of terms."""

import logging

from keras import ops

from xctrs_tf.geometry import NUM_CLASSES, VIEWS
from xctrs_tf.losses import MultiViewVGG, discriminator_loss
from xctrs_tf.training.objective.reconstruction_terms import PUBLISHED_WEIGHTS, ReconstructionTerms
from xctrs_tf.training.objective.segmentation_terms import SegmentationTerms


class Objective:
    """The training loss of all networks of a run.

    A network without terms does not run.

    Args:
        reconstruction: `ReconstructionTerms`, or None where no reconstruction
            network is trained: then the volume to segment comes with the batch.
        segmentation: `SegmentationTerms`, or None.
        cross_entropy_steps: steps in which the weight of the cross-entropy falls
            to 0; None keeps it.
        frozen: name of a network that is not trained, and so runs without dropout;
            empty for none.

    Ge et al. (2022), Eq. 1.
    """

    def __init__(self, reconstruction, segmentation, cross_entropy_steps=None, frozen=""):
        self.reconstruction = reconstruction
        self.segmentation = segmentation
        self.cross_entropy_steps = cross_entropy_steps
        self.frozen = frozen

    def __call__(self, networks, batch, step, training):
        """Run the networks and all terms.

        Args:
            networks: dict of ``reconstruction`` (films to CT), ``segmentation``
                (CT to probabilities) and ``discriminator``, those that are used.
            batch: dict of ``ap``, ``la``, ``ct`` and ``segmentation`` tensors;
                ``reconstruction`` where it was made before, without which and
                without a reconstruction network the patient's CT is segmented;
                ``vgg_planes`` where the VGG loss takes a subset.
            step: integer scalar tensor, by which the cross-entropy fades out; None where
                nothing is trained.
            training: run the networks that learn in training mode. Otherwise the adversarial
                term is left out, since its scale changes with the discriminator,
                and a cross-entropy that fades out has the weight 0.

        Returns:
            ``(loss, terms, outputs)``: a float32 scalar, a dict of unweighted
            float32 scalars, and a dict of ``ct`` and, where it ran,
            ``segmentation``.
        """
        terms, weights, outputs = {}, {}, {}
        if self.reconstruction is None:
            outputs["ct"] = batch.get("reconstruction", batch["ct"])
        else:
            films = {view: batch[view] for view in VIEWS}
            learns = training and self.frozen != "reconstruction"
            outputs["ct"] = networks["reconstruction"](films, training=learns)
            scores = None
            if self.reconstruction.is_adversarial and training:
                scores = networks["discriminator"]({**films, "ct": outputs["ct"]}, training=True)
            terms |= self.reconstruction(batch, outputs["ct"], scores)
            weights |= self.reconstruction.weights
        if self.segmentation is not None:
            learns = training and self.frozen != "segmentation"
            more, outputs["segmentation"] = self.segmentation(
                networks["segmentation"], outputs["ct"], batch, learns
            )
            terms |= more
            weights |= self.segmentation.weights
            if self.cross_entropy_steps and "cross_entropy" in terms:
                weights["cross_entropy"] *= self._cross_entropy_left(step) if training else 0.0
        return sum(weights[name] * terms[name] for name in terms if name in weights), terms, outputs

    def _cross_entropy_left(self, step):
        return ops.maximum(0.0, 1.0 - ops.cast(step, "float32") / self.cross_entropy_steps)

    @staticmethod
    def of_discriminator(discriminator, batch, ct):
        """Return the loss of the discriminator, without gradient into the reconstruction.

        Args:
            discriminator: `X2CTDiscriminator`.
            batch: dict of ``ap``, ``la`` and ``ct``.
            ct: reconstruction.

        Returns:
            float32 scalar.
        """
        films = {view: batch[view] for view in VIEWS}
        of_truth, of_reconstruction = (
            discriminator({**films, "ct": each}, training=True)
            for each in (batch["ct"], ops.stop_gradient(ct))
        )
        return discriminator_loss(of_truth, of_reconstruction)


def make_objective(config):
    """Make the objective of a configuration; load the VGG16 weights where they are used.

    Args:
        config: checked `TrainingConfig`.

    Returns:
        `Objective`.
    """
    reconstruction = segmentation = None
    if config.has_own_reconstruction:
        weights = {"mae": config.mae_weight, "vgg": config.vgg_weight}
        if not config.learns_reconstruction:
            # No gradient: the voxel loss is only recorded.
            weights = {}
        elif config.reconstruction_objective == "published":
            published = PUBLISHED_WEIGHTS[config.reconstruction]
            weights = {"vgg": config.vgg_weight}
            weights |= {name: config.mae_weight * weight for name, weight in published.items()}
        reconstruction = ReconstructionTerms(weights, _make_vgg(config))
    if config.uses_segmentation:
        first = "published" if config.segmentation_objective == "published" else "dice"
        segmentation = SegmentationTerms(
            {
                first: config.dice_weight,
                "rsc": config.rsc_weight,
                "cross_entropy": config.cross_entropy_weight,
            },
            NUM_CLASSES,
            published=config.segmentation,
            include_background=config.include_background,
            stop_gradient_on_target=config.stop_gradient_on_target,
            cross_entropy_balance=config.cross_entropy_balance,
        )
    fade = config.cross_entropy_fade * config.steps
    return Objective(reconstruction, segmentation, fade or None, config.freeze)


def _make_vgg(config):
    if not config.uses_vgg:
        return None
    if config.vgg_weights == "random":
        logging.warning("the VGG loss uses RANDOM features, not ImageNet's")
    return MultiViewVGG(config.vgg_weights, config.vgg_layer, config.vgg_slices or None)
