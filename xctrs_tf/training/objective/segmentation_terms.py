"""Loss terms of the segmentation network."""

from keras import ops

from xctrs_tf.losses import PUBLISHED_OBJECTIVES, cross_entropy, dice_loss, one_hot, rsc_terms


class SegmentationTerms:
    """A weighted sum of losses of the segmentation.

    Args:
        weights: dict from ``dice``, ``published``, ``rsc`` or ``cross_entropy`` to its
            weight. A term of weight 0 is not computed.
        num_classes: classes of the segmentation.
        published: name in `PUBLISHED_OBJECTIVES` where ``published`` has a weight.
        include_background: count class 0 in the Dice means.
        stop_gradient_on_target: treat the segmentation of the CT as a constant in
            the divergence term of RSC.
        cross_entropy_balance: see `losses.cross_entropy`.
    """

    def __init__(
        self,
        weights,
        num_classes,
        published=None,
        include_background=False,
        stop_gradient_on_target=False,
        cross_entropy_balance=0.0,
    ):
        weights = {name: weight for name, weight in weights.items() if weight}
        rsc = weights.pop("rsc", 0.0)
        if rsc:
            weights |= {"rsc_segmentation": rsc, "rsc_divergence": rsc}
        self.weights = weights
        self.uses_rsc = bool(rsc)
        self.num_classes = num_classes
        self.published = PUBLISHED_OBJECTIVES[published] if "published" in weights else None
        self.include_background = include_background
        self.stop_gradient_on_target = stop_gradient_on_target
        self.cross_entropy_balance = cross_entropy_balance

    def __call__(self, network, volume, batch, training):
        """Segment a volume and, where RSC needs it, the patient's CT.

        Args:
            network: from a CT to probabilities, or to a dict of them and the
                outputs that only training needs.
            volume: reconstruction or CT to segment, ``(batch, x, y, z, 1)``.
            batch: dict of ``ct`` and ``segmentation`` (labels).
            training: run the network in training mode.

        Returns:
            ``(terms, probabilities)``: dict of unweighted float32 scalars, and
            ``(batch, x, y, z, classes)``.

        Ge et al. (2022), Eq. 15, 16.
        """
        y_true = one_hot(batch["segmentation"], self.num_classes)
        of_volume, of_ct = self._segment(network, volume, batch["ct"], training)
        probabilities = of_volume["segmentation"]
        scored = [of_volume] if of_ct is None else [of_volume, of_ct]
        # Always recorded, since networks are compared by it.
        terms = {"dice": dice_loss(y_true, probabilities, self.include_background)}
        if self.published is not None:
            terms["published"] = self.published(y_true, of_volume)
        if self.uses_rsc:
            terms["rsc_segmentation"], terms["rsc_divergence"] = rsc_terms(
                y_true,
                of_ct["segmentation"],
                probabilities,
                self.include_background,
                self.stop_gradient_on_target,
            )
        if "cross_entropy" in self.weights:
            terms["cross_entropy"] = sum(
                cross_entropy(y_true, each["segmentation"], self.cross_entropy_balance)
                for each in scored
            )
        return terms, probabilities

    def _segment(self, network, volume, ct, training):
        """Return dicts of the network's outputs for the volume, and for the CT or None."""
        if not self.uses_rsc:
            return _outputs(network(volume, training=training)), None
        if training and _mixes_patients(network):
            return tuple(_outputs(network(each, training=True)) for each in (volume, ct))
        # Each volume is normalised by itself, so one call for both has the results of
        # two calls and is traced in half the time.
        both = _outputs(network(ops.concatenate([volume, ct], axis=0), training=training))
        halves = {name: ops.split(value, 2, axis=0) for name, value in both.items()}
        return tuple({name: half[i] for name, half in halves.items()} for i in (0, 1))


def _outputs(outputs):
    return outputs if isinstance(outputs, dict) else {"segmentation": outputs}


def _mixes_patients(network):
    """Return True for batch normalisation, where a result depends on the whole batch."""
    return any(v.path.endswith("moving_mean") for v in network.non_trainable_variables)
