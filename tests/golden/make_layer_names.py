"""Write layer_names.json: the names that checkpoints rely on.

Run it only when the checkpoint format is meant to change:
``python tests/golden/make_layer_names.py``.
"""

import json
import pathlib

import keras

from xctrs_tf.models import MulSISNet, SpaDRNet


def _names(model):
    for layer in model.layers:
        yield layer.name
        if isinstance(layer, keras.Model):
            yield from _names(layer)


if __name__ == "__main__":
    names = {f.__name__: list(_names(f(32))) for f in (SpaDRNet, MulSISNet)}
    path = pathlib.Path(__file__).with_name("layer_names.json")
    path.write_text(json.dumps(names, indent=0) + "\n", encoding="utf-8")
