import dataclasses

import pytest

from experiments.common.presets import preset_config
from xctrs_tf.evaluation.results.result_folder import method_name
from xctrs_tf.models.catalogue import ROWS
from xctrs_tf.training.config import TrainingConfig


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_presets_is_called_as_in_the_tables(row):
    config, frozen = preset_config(row), None
    title = ROWS[row].title
    if row.startswith("table3"):
        config = dataclasses.replace(config, reconstruction_run="RUN")
        frozen = preset_config("table1-vgg")
        title = f"SpaDRNet + VGG > {title}"
    assert method_name(config, frozen) == title


def test_a_run_outside_the_tables_has_a_name():
    alone = TrainingConfig(reconstruction="none", rsc_weight=0.0)
    assert method_name(alone) == "MulSISNet on the CT"
    other = TrainingConfig(segmentation="unet3d", vgg_weight=0.0)
    assert method_name(other) == "SpaDRNet + 3D UNet + RSC"


@pytest.mark.parametrize(
    ("without", "name"),
    [
        ("vgg", "SpaDRNet + MulSISNet + RSC"),
        ("dice", "SpaDRNet + VGG + MulSISNet + RSC"),
        ("rsc", "SpaDRNet + VGG + MulSISNet"),
    ],
)
def test_a_run_without_one_of_the_terms_is_no_x_ctrsnet(without, name):
    assert method_name(TrainingConfig()) == "X-CTRSNet"
    assert method_name(TrainingConfig(**{f"{without}_weight": 0.0})) == name
