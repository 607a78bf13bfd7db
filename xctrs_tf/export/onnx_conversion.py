"""Conversion of a SavedModel signature to ONNX, by tf2onnx."""

import logging

from xctrs_tf.errors import UserError

# The newest that tf2onnx writes.
OPSET = 18
CONVERSION_PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


def require_onnx_options(quantize=None, precision="float32", fpmath="float32"):
    """Refuse options of a SavedModel that an ONNX file does not have.

    Args:
        quantize: type of the stored weights, or None.
        precision: that the networks compute in.
        fpmath: how the float32 products are computed.

    Raises:
        UserError: one of them is not the default.
    """
    if quantize:
        raise UserError(f"--quantize={quantize}: not with --format=onnx, whose weights are float32")
    if precision != "float32":
        raise UserError(f"--precision={precision}: not with --format=onnx, which is float32")
    if fpmath != "float32":
        raise UserError(f"--fpmath={fpmath}: not with --format=onnx; it is an option of TensorFlow")


def write_onnx(signature, file, notice):
    """Convert a signature and its weights to an ONNX file.

    Args:
        signature: one of `xctrs_tf.export.signatures.Signatures.concrete`; its
            tensors keep their names, and the batch size stays variable.
        file: path of the ONNX file.
        notice: description stored in the file.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    inputs, _ = signature.structured_input_signature

    @tf.function(input_signature=inputs, autograph=False)
    def call(*tensors):
        return signature(**{spec.name: x for spec, x in zip(inputs, tensors, strict=True)})

    # tf2onnx logs every constant that it folds.
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    model, _ = tf2onnx.convert.from_function(call, inputs, opset=OPSET)
    for tensor in [*model.graph.input, *model.graph.output]:
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.doc_string = notice
    onnx.save(model, file)
