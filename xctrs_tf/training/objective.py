"""What X-CTRSNet minimises: Eq. 1, as a weighted sum of terms."""

from keras import ops

from xctrs_tf.losses import cross_entropy, dice_loss, mean_absolute_error, one_hot, rsc_terms


class Objective:
    """The training loss of both networks (Eq. 1, 11, 15 and 16).

    A term whose weight is 0 is not computed at all: without ``dice`` and
    ``rsc`` the segmentation network does not run.

    Args:
        weights: dict from each name in `config.TERMS` to its weight.
        vgg: `MultiViewVGG`, or None where the weight of ``vgg`` is 0.
        num_classes: classes of the segmentation.
        include_background: whether class 0 takes part in the Dice means.
        stop_gradient_on_target: whether the divergence term of RSC treats the
            segmentation of the CT as a constant.
        balanced_cross_entropy: whether each class weighs alike in it.
    """

    def __init__(
        self,
        weights,
        vgg,
        num_classes,
        include_background=False,
        stop_gradient_on_target=False,
        balanced_cross_entropy=False,
    ):
        self.weights = weights
        self.vgg = vgg
        self.num_classes = num_classes
        self.include_background = include_background
        self.stop_gradient_on_target = stop_gradient_on_target
        self.balanced_cross_entropy = balanced_cross_entropy

    @property
    def uses_segmentation(self):
        """Whether any term needs the segmentation network."""
        return bool(self.weights["dice"] or self.weights["rsc"])

    def __call__(self, reconstruction, segmentation, batch, seed, training):
        """Run both networks and all terms.

        Args:
            reconstruction: model from films to CT.
            segmentation: model from CT to probabilities.
            batch: dict of ``ap``, ``la``, ``ct`` and ``segmentation`` tensors.
            seed: integer scalar tensor that chooses the VGG loss's planes.
            training: whether the networks run in training mode.

        Returns:
            ``(loss, terms, outputs)``: a float32 scalar, a dict of unweighted
            float32 scalars, and a dict of ``ct`` and, where it ran,
            ``segmentation``.
        """
        films = {"ap": batch["ap"], "la": batch["la"]}
        ct = reconstruction(films, training=training)
        outputs = {"ct": ct}
        terms = {"mae": mean_absolute_error(batch["ct"], ct)}
        if self.weights["vgg"]:
            terms["vgg"] = self.vgg(batch["ct"], ct, seed)
        if self.uses_segmentation:
            outputs["segmentation"], of_ct = self._segment(segmentation, ct, batch["ct"], training)
            y_true = one_hot(batch["segmentation"], self.num_classes)
            terms |= self._segmentation_terms(y_true, outputs["segmentation"], of_ct)
        return self._total(terms), terms, outputs

    def _segment(self, segmentation, reconstructed, ct, training):
        """Segment the reconstruction and, where RSC needs it, the ground-truth CT."""
        if not self.weights["rsc"]:
            return segmentation(reconstructed, training=training), None
        # One call for both: the normalisations see each volume by itself, so
        # the result is that of two calls at half the tracing time.
        both = segmentation(ops.concatenate([reconstructed, ct], axis=0), training=training)
        of_reconstruction, of_ct = ops.split(both, 2, axis=0)
        return of_reconstruction, of_ct

    def _segmentation_terms(self, y_true, of_reconstruction, of_ct):
        terms = {"dice": dice_loss(y_true, of_reconstruction, self.include_background)}
        taught = [of_reconstruction]
        if self.weights["rsc"]:
            taught.append(of_ct)
            terms["rsc_segmentation"], terms["rsc_divergence"] = rsc_terms(
                y_true,
                of_ct,
                of_reconstruction,
                self.include_background,
                self.stop_gradient_on_target,
            )
        if self.weights["cross_entropy"]:
            terms["cross_entropy"] = sum(
                cross_entropy(y_true, each, self.balanced_cross_entropy) for each in taught
            )
        return terms

    def _total(self, terms):
        weight_of = {
            **self.weights,
            "rsc_segmentation": self.weights["rsc"],
            "rsc_divergence": self.weights["rsc"],
        }
        return sum(weight_of[name] * value for name, value in terms.items())
