"""Presets, rows and published trainings, joined by +."""

import pytest

from experiments.common.presets import PUBLISHED, preset_config
from xctrs_tf.errors import UserError
from xctrs_tf.models.catalogue import ROWS


def test_x2ctgan_is_trained_as_published_unless_a_flag_says_otherwise():
    config = preset_config("demo+table2-x2ctgan+published", data="DATA")
    config.check()
    assert (config.batch_size, config.steps) == (4, 1000)
    assert (config.beta_1, config.beta_2, config.learning_rate) == (0.5, 0.99, 2e-4)
    assert config.schedule == "constant_linear"
    given = {"batch_size": 2, "schedule": "constant", "learning_rate": 1e-3}
    config = preset_config("demo+table2-x2ctgan+published", data="DATA", **given)
    assert {name: getattr(config, name) for name in given} == given


def test_dsn_is_trained_as_published_with_its_own_loss():
    config = preset_config("demo+table3-dsn+published", data="DATA")
    assert (config.optimizer, config.momentum, config.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (config.learning_rate, config.schedule, config.batch_size) == (0.01, "polynomial", 4)
    assert config.segmentation_objective == "published" and config.cross_entropy_weight == 0
    # The same row without its published training has those of the preset.
    config = preset_config("demo+table3-dsn", data="DATA")
    assert (config.optimizer, config.segmentation_objective) == ("adam", "terms")
    assert config.cross_entropy_weight == 1


@pytest.mark.parametrize("row", ROWS)
def test_what_makes_a_row_is_kept_by_its_published_training(row):
    assert ROWS[row].published
    config = preset_config(f"demo+{row}+{PUBLISHED}", data="DATA")
    made = {name: getattr(config, name) for name in ROWS[row].config}
    assert made == ROWS[row].config
    config.check()


@pytest.mark.parametrize("preset", ["published", "demo+published", "dmo"])
def test_a_wrong_name_is_refused(preset):
    with pytest.raises(UserError, match=r"^--preset="):
        preset_config(preset)
