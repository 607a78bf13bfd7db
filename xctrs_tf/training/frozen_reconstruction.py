"""Reconstructions by a finished network, on which only a segmentation is trained (Table 3).

The reconstruction network is not trained any more, so each patient is reconstructed
once. The results are stored in the folder of the finished run, where every
segmentation that is trained on it reads them. Where that run is gone, they are made again
in the folder of the segmentation.
"""

import logging
import pathlib
import shutil

import numpy as np

from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.data.dataset.npy_files import read_array
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.training import checkpoints
from xctrs_tf.training.prediction import reconstruct_case

_CHECKPOINT = "best"


def copied_run(workdir):
    """Return the folder where a run keeps its copy of --reconstruction_run."""
    return pathlib.Path(workdir) / "reconstruction_run"


def copy_finished_run(reconstruction_run, workdir):
    """Copy the best checkpoint of a finished run, so that a run can be used without it.

    Args:
        reconstruction_run: folder of the finished run.
        workdir: folder of the run that builds on it.

    Returns:
        `pathlib.Path` of the folder that keeps the `Reconstructions`: the finished run, or
        ``workdir`` where only the copy is left.

    Raises:
        UserError: the finished run has no whole best checkpoint, or another one than
            the copy that is already there.
    """
    source, target = pathlib.Path(reconstruction_run), copied_run(workdir)
    state = source / _CHECKPOINT / "state.json"
    copied_state = target / _CHECKPOINT / "state.json"
    if not state.is_file():
        if copied_state.is_file():
            logging.warning(
                "--reconstruction_run=%s: gone; its copy in %s is used", source, workdir
            )
            return pathlib.Path(workdir)
        raise UserError(
            f"--reconstruction_run={source}: no finished run; name one of experiments.train"
        )
    if target.exists():
        if copied_state.read_bytes() != state.read_bytes():
            raise UserError(
                f"--reconstruction_run={source}: was trained further after {workdir} began; "
                "name another --workdir"
            )
        return source
    with atomic_path(target) as temporary:
        temporary.mkdir(parents=True)
        shutil.copy2(source / "config.json", temporary)
        shutil.copytree(source / _CHECKPOINT, temporary / _CHECKPOINT)
        if checkpoints.read_state(temporary / _CHECKPOINT) is None:
            raise UserError(
                f"--reconstruction_run={source}: its best checkpoint is damaged, or was written "
                "meanwhile; let experiments.train run on, then run the same command again"
            )
        nested = copied_run(source)
        if nested.exists():
            shutil.copytree(nested, copied_run(temporary))
    return source


class Reconstructions:
    """Reconstructions of all patients by a finished run, made once and kept on disk.

    Args:
        run: `xctrs_tf.training.run.Run` with a reconstruction network.
        dataset: the data folder.
        folder: of the run in which they are kept, as `copy_finished_run` returns.
    """

    def __init__(self, run, dataset, folder):
        self._run = run
        self._dataset = dataset
        # The same step of a run that was trained anew has other weights.
        hashes = (run.weights_sha256[:12], dataset.content_hash()[:12])
        name = f"step-{run.step:08d}-{'-'.join(hashes)}"
        self._folder = pathlib.Path(folder) / "reconstructions" / name

    def make(self, ids, progress=iter):
        """Reconstruct the patients that have not been reconstructed yet.

        Args:
            ids: patients.
            progress: function from the list of the remaining patients to an iterable,
                for a progress bar.

        Raises:
            UserError: the output of the network is not finite.
        """
        if not self._missing(ids):
            return
        # Several runs may build on this one at the same time; one of them reconstructs.
        with folder_lock(self._folder, wait=True):
            for patient in progress(self._missing(ids)):
                case = self._dataset.load(patient)
                arrays = network_arrays(case, self._run.config.film_normalization)
                ct = reconstruct_case(self._run, patient, arrays)
                with atomic_path(self._path(patient)) as temporary, temporary.open("wb") as file:
                    np.save(file, ct)

    def load(self, patient):
        """Read a patient's reconstruction, float32 ``[x, y, z]``, not clipped.

        Raises:
            UserError: the file is damaged.
        """
        path = self._path(patient)
        try:
            ct = read_array(path)
            if ct.dtype != np.float32 or ct.shape != (self._dataset.size,) * 3:
                raise ValueError(f"{ct.dtype} {ct.shape}")
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path}: damaged; remove it, and run the same command again"
            ) from error
        return ct

    def _missing(self, ids):
        return [patient for patient in ids if not self._path(patient).exists()]

    def _path(self, patient):
        return self._folder / f"{patient}.npy"
