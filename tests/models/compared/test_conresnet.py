"""ConResNet: where its weights are standardised, and how it halves the resolution."""

from keras import layers

from tests.models.compared.narrow import shared
from xctrs_tf.layers.weight_standardization import WeightStandardizedConv3D


def test_all_convolutions_but_the_heads_have_standardised_weights():
    convolutions = [x for x in shared("conresnet").layers if isinstance(x, layers.Conv3D)]
    plain = {x.name for x in convolutions if not isinstance(x, WeightStandardizedConv3D)}
    assert plain == {"segmentation_head"} | {f"residual{divisor}_head" for divisor in (1, 2, 4)}


def test_halving_pads_on_both_sides():
    model = shared("conresnet")
    for divisor in (2, 4, 8):
        layer = model.get_layer(f"encoder_s{divisor}_down_conv")
        source = model.get_layer(f"encoder_s{divisor}_down_act").output
        assert layer.padding == "valid"
        assert layer.input.shape[1] == source.shape[1] + 2
        assert layer.output.shape[1] == source.shape[1] // 2
