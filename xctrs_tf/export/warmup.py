"""Requests that TensorFlow Serving plays when it loads a model.

The first request of a graph takes many times longer than the next ones; with
these the server has it behind itself before it answers anybody.
"""

import tensorflow as tf

from xctrs_tf.reconstruction.exported_model import WARMUP


def write_warmup(folder, requests):
    """Write the warm-up requests of a version folder.

    Args:
        folder: version folder; its ``assets.extra`` must be there.
        requests: dict from signature to dict of its inputs as arrays.

    Returns:
        Whether they were written: only where tensorflow-serving-api is installed.
    """
    try:
        from tensorflow_serving.apis.predict_pb2 import PredictRequest
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog
    except ImportError:
        return False
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        for signature, inputs in requests.items():
            request = PredictRequest()
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = PredictionLog(predict_log=PredictLog(request=request))
            writer.write(log.SerializeToString())
    return True
