"""Killed at any moment, a program leaves a whole output or none, and a run that goes on."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from tests.export.runs import assert_toy_outputs, toy_films
from tests.films import block_films
from tests.training.failures import kills
from tests.training.toys import toy_dataset
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction.exported_model import find_export, version_numbers


def _nothing(*_):
    pass


def _numbers(few, many):
    """Return numbers of kills: few in any test run, many in `make soak`."""
    return pytest.mark.parametrize("number", [few, pytest.param(many, marks=pytest.mark.soak)])


@pytest.mark.soak
def test_a_run_ends_like_one_that_was_not_killed(tmp_path):
    data = toy_dataset(tmp_path / "data")
    kills.kill_and_finish(kills.train, (data,), tmp_path, 30, 1, _nothing, kills.assert_same_run)


@_numbers(1, 30)
def test_a_data_folder_is_the_same_to_the_byte(tmp_path, number):
    patients = min(2 * number, 5)

    def check_now(folder):
        """A data folder is whole or is refused."""
        try:
            dataset = open_dataset(folder)
        except UserError:
            return
        assert len([dataset.load(patient) for patient in dataset.ids]) == patients

    def check(whole, folder):
        assert kills.bytes_of(folder) == kills.bytes_of(whole)

    kills.kill_and_finish(kills.prepare, (patients,), tmp_path, number, 2, check_now, check)


@_numbers(1, 10)
def test_an_export_is_whole_or_absent(tmp_path, number):
    def check_now(folder):
        for version in version_numbers(folder):
            model = find_export(folder / str(version)).load()
            films = toy_films(3)
            outputs = {name: np.asarray(value) for name, value in model(**films).items()}
            assert_toy_outputs(outputs)

    def check(whole, folder):
        assert version_numbers(folder)
        check_now(folder)

    kills.kill_and_finish(kills.export, (tmp_path / "run",), tmp_path, number, 3, check_now, check)


@_numbers(1, 10)
def test_a_reconstruction_is_whole_or_absent(tmp_path, models, number):
    for view, film in block_films().items():
        write_film(tmp_path / f"{view}.png", film, view)
    names = set()

    def check_now(folder):
        if folder.exists():
            found = {path.name for path in folder.iterdir()}
            assert found == (names or found)
            names.update(found)
            assert json.loads((folder / "reconstruction.json").read_text(encoding="utf-8"))
            assert sitk.ReadImage(str(folder / "ct.nii.gz")).GetSize() == (32, 32, 32)

    def check(whole, folder):
        check_now(whole)
        check_now(folder)
        assert kills.bytes_of(folder)["ct.nii.gz"] == kills.bytes_of(whole)["ct.nii.gz"]

    arguments = (models, tmp_path)
    kills.kill_and_finish(kills.reconstruct, arguments, tmp_path, number, 4, check_now, check)


@pytest.mark.soak
def test_a_cross_validation_goes_on(tmp_path):
    data = str(toy_dataset(tmp_path / "data"))

    def check(whole, folder):
        (job,) = (path.stem for path in (folder / kills.ROW).glob("*.json"))
        record = json.loads((folder / kills.ROW / f"{job}.json").read_text(encoding="utf-8"))
        assert record["status"] == "done"
        assert (folder / kills.ROW / job / "evaluation" / "cases.json").exists()
        kills.assert_same_run(whole / kills.ROW / job, folder / kills.ROW / job)

    kills.kill_and_finish(kills.cross_validate, (data,), tmp_path, 10, 5, _nothing, check)
