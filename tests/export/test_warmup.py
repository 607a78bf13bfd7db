"""Warm-up requests, which the model server runs at its start."""

import sys

import pytest
import tensorflow as tf

from tests.export.runs import toy_run
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.reconstruction.exported_model import find_export


def test_warmup_requests_are_what_the_signatures_take(tmp_path):
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    folder = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    records = [
        PredictionLog.FromString(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(file))
    ]
    assert [r.model_spec.signature_name for r in records] == ["serving_default", "serving_bytes"]
    signatures = find_export(folder).load_signatures()
    for request in records:
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        outputs = signatures[request.model_spec.signature_name](**inputs)
        assert all(len(tensor) == 1 for tensor in outputs.values())


def test_without_the_api_there_is_no_warmup(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.predict_pb2", None)
    folder = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    assert "tensorflow-serving-api is not installed" in caplog.messages[-1]
    names = {file.name for file in (folder / "assets.extra").iterdir()}
    assert names == {"MODEL_CARD.md", "metadata.json", "SHA256SUMS", "weights.npz"}
