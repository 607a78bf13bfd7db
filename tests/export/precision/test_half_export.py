"""Exports that compute in bfloat16, and what their metadata say of it."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.export.runs import SIZE, read_metadata, toy_run
from tests.films import block_films
from tests.programs import run_program
from xctrs_tf import processor
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.errors import UserError
from xctrs_tf.export import saved_model
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.layers.convolutions import Convolution3D
from xctrs_tf.layers.normalization import FoldedGroupNormalization
from xctrs_tf.reconstruction import load
from xctrs_tf.reconstruction.ensemble import use_fpmath
from xctrs_tf.reconstruction.exported_model import find_export


def convolved_run(path, policy="float32"):
    """Return a run that convolves and normalises the product of its films, with seeded weights."""
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    try:
        films = {view: keras.Input((SIZE, SIZE, 1), name=view) for view in ("ap", "la")}
        product = films["ap"][:, :, None] * films["la"][:, None]
        hidden = Convolution3D(8, 3, padding="same", bias_initializer="normal")(product)
        hidden = keras.layers.Activation("tanh")(FoldedGroupNormalization(groups=4)(hidden))
        ct = keras.layers.Conv3D(1, 3, padding="same")(hidden)
        ct = keras.layers.Activation("sigmoid", dtype="float32")(ct)
        volume = keras.Input((SIZE, SIZE, SIZE, 1), name="ct")
        classes = keras.layers.Conv3D(8, 1)(volume)
        classes = keras.layers.Softmax(dtype="float32")(classes)
        return dataclasses.replace(
            toy_run(path),
            reconstruction=keras.Model(films, ct),
            segmentation=keras.Model(volume, classes),
        )
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run in float32 and in bfloat16."""
    path = tmp_path_factory.mktemp("run")
    return convolved_run(path), convolved_run(path, "mixed_bfloat16")


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """Folders of its exports, by precision."""
    folder, (run, half) = tmp_path_factory.mktemp("models"), runs
    return {
        "float32": export_run(run, folder / "whole"),
        "bfloat16": export_run(run, folder / "half", bfloat16_run=half, fpmath="bfloat16"),
    }


def operations(folder, kind):
    """Return the types of the operations of one kind in a stored graph, in order."""
    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    functions = graph.meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    return [tf.dtypes.as_dtype(n.attr["T"].type).name for n in nodes if n.op == kind]


def convolutions(folder):
    """Return the types of the convolutions of a stored graph."""
    return set(operations(folder, "Conv3D"))


def test_the_graph_convolves_in_its_precision(exported):
    found = {name: convolutions(folder) for name, folder in exported.items()}
    assert found == {name: {name} for name in found}


def test_two_operations_normalise_a_volume(exported):
    assert operations(exported["bfloat16"], "FusedBatchNormV3") == ["bfloat16"] * 2
    assert operations(exported["float32"], "FusedBatchNormV3") == []


def test_a_patient_gets_the_same_result_in_a_batch(exported):
    call = find_export(exported["bfloat16"]).load()
    rng = np.random.default_rng(5)
    films = {view: rng.random((3, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    films["ap"][0] *= 100.0
    together = call(**{view: tf.constant(film) for view, film in films.items()})
    for index in range(3):
        alone = call(**{view: tf.constant(film[[index]]) for view, film in films.items()})
        for name, value in alone.items():
            np.testing.assert_array_equal(together[name][index], value[0])


def test_metadata_tell_precision_and_difference(runs, exported):
    whole, half = (read_metadata(exported[name]) for name in ("float32", "bfloat16"))
    assert (whole["precision"], whole["fpmath"]) == ("float32", "float32")
    assert whole["difference_from_float32"] is None
    assert (half["precision"], half["fpmath"]) == ("bfloat16", "bfloat16")
    away = half["difference_from_float32"]
    assert 1e-4 < away["ct"] < 0.02 and away["ct_hu"] == pytest.approx(2500 * away["ct"])
    assert 0 < away["mean_ct_hu"] < away["ct_hu"]
    assert 1e-5 < away["mean_segmentation"] < away["segmentation"] < 0.02
    # Its length is that of the metadata, which differ.
    for each in (whole, half):
        each["signatures"]["serving_bytes"]["outputs"].pop("metadata_json")
    assert whole["signatures"] == half["signatures"]


def test_every_signature_answers_in_float32_and_close(runs, exported):
    rng = np.random.default_rng(3)
    films = {view: rng.random((2, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    whole, half = (find_export(folder).load_signatures() for folder in exported.values())
    assert set(whole) == set(half)
    for name in ("serving_default", "reconstruction"):
        inputs = {view: tf.constant(film) for view, film in films.items()}
        ours, theirs = half[name](**inputs), whole[name](**inputs)
        for output, value in theirs.items():
            assert ours[output].dtype == tf.float32
            np.testing.assert_allclose(ours[output], value, rtol=0, atol=0.02)


def test_reconstruct_and_ensembles_take_it(exported, tmp_path, monkeypatch):
    # Elsewhere a warning says that it is slow.
    monkeypatch.setattr(processor, "has_bfloat16", lambda: True)
    for view, film in block_films().items():
        write_film(tmp_path / f"{view}.png", film, view)
    films = [f"--{view}={tmp_path / view}.png" for view in ("ap", "la")]
    models = [f"--model={exported[name]}" for name in ("bfloat16", "float32")]
    for chosen in (models[:1], models):
        flags = [*chosen, *films, "--spacing_mm=2.5", "--noreport", "--fpmath=float32"]
        result = run_program("reconstruct", *flags, f"--output={tmp_path / 'out'}")
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""


def test_too_large_a_difference_is_refused(runs, tmp_path, monkeypatch):
    run, half = runs
    monkeypatch.setitem(saved_model.BFLOAT16_TOLERANCE, "mean_ct_hu", 1e-3)
    with pytest.raises(
        UserError, match=r"--precision=bfloat16: mean_ct_hu is .* from float32 .*; export without"
    ):
        export_run(run, tmp_path / "models", bfloat16_run=half)
    assert not (tmp_path / "models").exists()


def test_weights_may_be_stored_in_float16_too(runs, exported, tmp_path):
    run, half = runs
    folder = export_run(run, tmp_path / "models", "float16", bfloat16_run=half)
    metadata = read_metadata(folder)
    assert (metadata["precision"], metadata["weights"]["quantize"]) == ("bfloat16", "float16")
    assert convolutions(folder) == {"bfloat16"}
    stored = [
        tf.train.load_variable(str(folder / "variables/variables"), name)
        for name, _ in tf.train.list_variables(str(folder / "variables/variables"))
        if name.startswith("weights")
    ]
    assert {array.dtype.name for array in stored} == {"float16"}


@pytest.mark.parametrize("flag", ["--precision=bfloat16", "--fpmath=bfloat16"])
def test_an_onnx_file_has_no_such_option(runs, tmp_path, monkeypatch, flag):
    monkeypatch.setattr("experiments.export.require_packages", lambda *arguments: None)
    flags = [f"--workdir={runs[0].path}", f"--output={tmp_path / 'models'}", "--format=onnx"]
    result = run_program("export", *flags, flag)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {flag}: not with --format=onnx")
    assert len(result.stderr.splitlines()) == 1 and not (tmp_path / "models").exists()


def test_it_is_named_slow_where_the_processor_lacks_bfloat16(exported, monkeypatch, caplog):
    monkeypatch.setattr(processor, "has_bfloat16", lambda: False)
    monkeypatch.setattr(processor, "has_amx", lambda: False)
    processor.warn_once.cache_clear()
    for _ in range(2):
        load(exported["bfloat16"], fpmath="float32")
        load(exported["float32"])
    (message,) = caplog.messages
    assert "computes in bfloat16, which is slow on this processor" in message


@pytest.mark.parametrize(
    ("modes", "asked", "chosen"),
    [
        (["float32"], None, []),
        (["bfloat16"], None, ["bfloat16"]),
        (["bfloat16"], "float32", ["float32"]),
        (["float32", "bfloat16"], None, ["float32"]),
        (["float32"], "bfloat16", ["bfloat16"]),
    ],
)
def test_the_metadata_choose_fpmath_unless_told_otherwise(
    models, monkeypatch, modes, asked, chosen
):
    found = []
    monkeypatch.setattr("xctrs_tf.reconstruction.ensemble.set_fpmath", found.append)
    exports = [
        dataclasses.replace(find_export(models), metadata={"fpmath": mode}) for mode in modes
    ]
    processor.warn_once.cache_clear()
    use_fpmath(exports, asked)
    assert found == chosen
