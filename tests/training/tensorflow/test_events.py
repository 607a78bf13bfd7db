"""TensorBoard events of a run."""

import io

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.toys import toy_config, toy_dataset
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.training import loop
from xctrs_tf.training.tensorflow.tensorflow_engine import Events

pytestmark = pytest.mark.usefixtures("toy_runs")


def test_each_validation_has_a_picture_of_two_patients(tmp_path):
    data = toy_dataset(tmp_path / "data", num_patients=48)
    config = toy_config(data, steps=4, validate_every=2)
    loop.train(config, tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    validation = open_dataset(data).split(config.fold).validation
    assert len(validation) > 2
    tags = set(events.Tags()["tensors"])
    pictured = {f"validation/{patient}" for patient in validation[:2]}
    assert tags & {f"validation/{patient}" for patient in validation} == pictured
    assert {"validation/loss", "validation/psnr"} <= tags
    for tag in pictured:
        found = events.Tensors(tag)
        assert [event.step for event in found] == [2, 4]
        width, height, png = found[-1].tensor_proto.string_val
        assert (width, height) == (b"900", b"564")
        pixels = np.asarray(Image.open(io.BytesIO(png)))
        assert pixels.shape == (564, 900, 3) and pixels.std() > 20


def test_tensorboard_tells_what_a_scalar_is(tmp_path):
    events = Events(tmp_path, {"validation/dice_hard": "mean pseudo-label Dice"})
    events.scalars(1, {"validation/dice_hard": 0.5, "validation/psnr": 20.0})
    written = EventAccumulator(str(tmp_path)).Reload()
    described = {
        name: written.SummaryMetadata(name).summary_description
        for name in ("validation/dice_hard", "validation/psnr")
    }
    assert described == {"validation/dice_hard": "mean pseudo-label Dice", "validation/psnr": ""}
