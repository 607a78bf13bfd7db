"""The fields of a training configuration as flags."""

import dataclasses

from experiments.common.training_flags import GROUPS
from xctrs_tf.training.config import TrainingConfig, field_kinds


def test_every_field_has_one_place_in_the_help():
    shown = [name for names in GROUPS.values() for name in names]
    fields = [field.name for field in dataclasses.fields(TrainingConfig)]
    assert sorted(shown) == sorted([*fields, "epochs", "validation_epochs"])


def test_kinds_name_fields_that_exist():
    fields = {field.name for field in dataclasses.fields(TrainingConfig)}
    kinds = [value for value in vars(field_kinds).values() if isinstance(value, frozenset)]
    assert len(kinds) > 8
    assert all(kind <= fields for kind in kinds)


def test_fields_without_effect_are_left_out():
    everything = TrainingConfig()
    assert field_kinds.effective_fields(everything) == everything.to_json()
    without_rsc = field_kinds.effective_fields(TrainingConfig(rsc_weight=0.0))
    assert everything.to_json().keys() - without_rsc.keys() == {"stop_gradient_on_target"}
    alone = field_kinds.effective_fields(TrainingConfig(rsc_weight=0.0, dice_weight=0.0))
    assert {"include_background", "cross_entropy_fade"} <= everything.to_json().keys() - alone
