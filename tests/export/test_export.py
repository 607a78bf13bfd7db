"""Exported models compute the same as the networks; each has its own version number."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.export.runs import (
    SIZE,
    assert_toy_outputs,
    read_metadata,
    tensors,
    toy_films,
    toy_run,
)
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.film_writer import film_bytes
from xctrs_tf.errors import UserError
from xctrs_tf.export import saved_model as export_module
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.export.signatures import Signatures
from xctrs_tf.reconstruction import load
from xctrs_tf.reconstruction.exported_model import find_export


def test_versions_count_up_and_the_newest_is_found(tmp_path):
    run = toy_run(tmp_path / "run")
    output = tmp_path / "models"
    (output / "9").mkdir(parents=True)
    assert [export_run(run, output) for _ in range(2)] == [output / "10", output / "11"]
    assert find_export(output).path == output / "11"
    assert find_export(output / "10").path == output / "10"
    assert sorted(entry.name for entry in output.iterdir()) == ["10", "11", "9"]


def test_a_toy_by_hand(tmp_path):
    signature = find_export(export_run(toy_run(tmp_path / "run"), tmp_path / "models")).load()
    outputs = signature(**toy_films(3))
    assert_toy_outputs({name: tensor.numpy() for name, tensor in outputs.items()})


def test_a_run_without_segmentation(tmp_path):
    folder = export_run(toy_run(tmp_path / "run", segmented=False), tmp_path / "models")
    metadata = read_metadata(folder)
    assert list(metadata["signatures"]["serving_default"]["outputs"]) == ["ct"]
    assert metadata["classes"] is None
    assert set(find_export(folder).load_signatures()["serving_default"].structured_outputs) == {
        "ct"
    }


def test_a_saved_model_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    run = toy_run(tmp_path / "run", segmented=False)
    other = toy_run(tmp_path / "other", gain=2.001)
    monkeypatch.setattr(
        "xctrs_tf.export.saved_model.Signatures", lambda run, *args: Signatures(other, *args)
    )
    with pytest.raises(RuntimeError, match=r"ct of the saved model differs by 0\.00\d+ from the"):
        export_run(run, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_networks_that_give_nan(tmp_path):
    with pytest.raises(RuntimeError, match="ct of the saved model differs by nan"):
        export_run(toy_run(tmp_path / "run", gain=np.nan), tmp_path / "models")


def test_networks_that_compute_in_16_bits(tmp_path):
    run = toy_run(tmp_path / "run")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = toy_run(tmp_path / "run")
    finally:
        keras.config.set_dtype_policy("float32")
    run = dataclasses.replace(run, segmentation=half.segmentation)
    with pytest.raises(
        UserError, match=r'computes in bfloat16; load it with .*precision="float32"'
    ):
        export_run(run, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_output_is_a_file(tmp_path):
    (tmp_path / "models").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="models: not a folder; choose another"):
        export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    assert (tmp_path / "models").read_text(encoding="utf-8") == "mine"


def test_signatures_of_single_networks_can_be_chained(tmp_path):
    folder = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    signatures = find_export(folder).load_signatures()
    films = {view: np.full((1, SIZE, SIZE, 1), 0.9, np.float32) for view in ("ap", "la")}
    films["ap"][0, 20:] = 0.5
    tensors = {view: tf.constant(film) for view, film in films.items()}
    ct = signatures["reconstruction"](**tensors)["ct"]
    # 2 * 0.9 * 0.9, which serving_default would clip; and below the threshold of 1.5.
    assert float(ct[0, 19, 0, 0, 0]) == pytest.approx(1.62)
    assert float(ct[0, 20, 0, 0, 0]) == pytest.approx(0.9)
    classes = signatures["segmentation"](ct=ct)["segmentation"].numpy()
    np.testing.assert_array_equal(classes, signatures["serving_default"](**tensors)["segmentation"])
    assert (classes[0, :20].argmax(-1) == 3).all() and (classes[0, 20:].argmax(-1) == 0).all()


def test_without_segmentation_there_is_no_signature_of_it(tmp_path):
    folder = export_run(toy_run(tmp_path / "run", segmented=False), tmp_path / "models")
    names = {"serving_default", "serving_bytes", "reconstruction"}
    assert set(find_export(folder).load_signatures()) == names
    assert set(read_metadata(folder)["signatures"]) == names
    assert "segmentation" not in tensors(read_metadata(folder)["signatures"]["serving_bytes"])


def test_a_second_export_to_the_folder_waits_for_its_turn(tmp_path, monkeypatch):
    run, output = toy_run(tmp_path / "run", segmented=False), tmp_path / "models"
    describe, refused = export_module.describe_signatures, []

    def export_meanwhile(*args):
        with pytest.raises(UserError, match=r"models: process \d+ on .* writes to it") as error:
            export_run(run, output)
        refused.append(error)
        return describe(*args)

    monkeypatch.setattr(export_module, "describe_signatures", export_meanwhile)
    # Of an export that was killed.
    (output / ".export-abc" / "version").mkdir(parents=True)
    assert export_run(run, output) == output / "1"
    assert len(refused) == 1
    assert [entry.name for entry in output.iterdir()] == ["1"]


def test_a_full_disk_is_one_line_and_leaves_no_version(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "x.data; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(UserError, match=r"models: export failed: .*No space left on device; free"):
        export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_an_export_equalizes_films_where_its_run_did(tmp_path):
    run = toy_run(tmp_path / "run", gain=0.5, segmented=False, film_normalization="equalized")
    folder = export_run(run, tmp_path / "models")
    assert read_metadata(folder)["film_normalization"] == "equalized"
    films = {v: np.random.default_rng(n).random((SIZE,) * 2) for n, v in enumerate(("ap", "la"))}
    ranks = {view: normalise_film(film, "equalized") for view, film in films.items()}
    expected = 0.5 * ranks["ap"][:, None] * ranks["la"][None]
    reconstructor = load(folder)
    assert reconstructor.film_normalization == "equalized"
    for power in (1.0, 2.0):
        darker = {view: film**power for view, film in films.items()}
        np.testing.assert_allclose(
            reconstructor(**darker, spacing_mm=1.0).ct_hu, expected * 2500 - 1000, atol=0.51
        )
        pngs = {f"{v}_bytes": tf.constant([film_bytes(film, v)]) for v, film in darker.items()}
        served = find_export(folder).load_signatures()["serving_bytes"](**pngs)
        assert served["films_equalized"].numpy().tolist() == [True]
        np.testing.assert_allclose(served["ct_hu"][0], expected * 2500 - 1000, atol=4)


def test_an_export_without_a_normalisation_scales_by_percentiles(tmp_path):
    folder = export_run(toy_run(tmp_path / "run", segmented=False), tmp_path / "models")
    metadata = read_metadata(folder)
    del metadata["film_normalization"], metadata["checksums"]
    (folder / "assets.extra/metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    assert load(folder).film_normalization == "percentile"
    metadata["film_normalization"] = "ranks"
    (folder / "assets.extra/metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(UserError, match="film_normalization is 'ranks', not one of percentile"):
        load(folder)
