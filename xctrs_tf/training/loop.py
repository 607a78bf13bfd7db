"""A whole training run: resume, steps, validation, checkpoints, interruption."""

import math
import pathlib
import signal
import sys
import time

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from xctrs_tf.data.dataset import network_arrays, open_dataset
from xctrs_tf.data.pipeline import batch_ids, training_pipeline
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.metrics.image import psnr
from xctrs_tf.metrics.overlap import dice_per_class
from xctrs_tf.training import checkpoints
from xctrs_tf.training.frozen import Reconstructions, freeze, frozen_folder
from xctrs_tf.training.objective import make_objective
from xctrs_tf.training.optimizer import make_optimizer
from xctrs_tf.training.records import claim_workdir
from xctrs_tf.training.runs import build_networks, load_run
from xctrs_tf.training.summaries import History
from xctrs_tf.training.trainer import TAUGHT, Trainer

_HISTORY_EVERY = 20


class Interrupted(Exception):
    """A signal asked the run to stop; its checkpoint is written."""


def train(config, workdir, max_minutes=None):
    """Train to ``config.steps``, from the last checkpoint if there is one.

    Args:
        config: checked `TrainingConfig`.
        workdir: run folder; made here.
        max_minutes: validate, save and return after this time even if steps
            are left.

    Raises:
        UserError: for bad data, a folder of another configuration, or a loss
            that is no number.
        Interrupted: after SIGINT or SIGTERM.
    """
    dataset = open_dataset(config.data)
    if dataset.size != config.size:
        raise UserError(f"--size={config.size}, but {config.data} was prepared at {dataset.size}")
    split = dataset.split(config.fold)
    objective = make_objective(config)
    workdir = pathlib.Path(workdir)
    claim_workdir(workdir, config, dataset)
    reconstructions = _reconstructions(config, workdir, dataset, split)
    trainer = Trainer(build_networks(config), objective, lambda: make_optimizer(config))
    _Loop(config, workdir, dataset, split, trainer, reconstructions, max_minutes).run()


def _reconstructions(config, workdir, dataset, split):
    """The patients' reconstructions where a finished run makes them, or None."""
    if not config.reconstruction_run:
        return None
    freeze(config.reconstruction_run, workdir)
    run = load_run(frozen_folder(workdir))
    if run.reconstruction is None:
        raise UserError(f"--reconstruction_run={config.reconstruction_run}: only segments")
    if run.config.size != config.size:
        raise UserError(
            f"--size={config.size}, but {config.reconstruction_run} was trained at "
            f"{run.config.size}"
        )
    made = Reconstructions(run, dataset, config.reconstruction_run)
    made.make(
        split.training + split.validation,
        lambda todo: tqdm(todo, "reconstructing", unit="patient", disable=None),
    )
    return made


class _Loop:
    def __init__(self, config, workdir, dataset, split, trainer, reconstructions, max_minutes):
        self.config = config
        self.workdir = workdir
        self.dataset = dataset
        self.split = split
        self.trainer = trainer
        self.networks = trainer.networks
        self.reconstructions = reconstructions
        self.best_loss = math.inf
        self.stop_signal = None
        self.deadline = time.monotonic() + 60.0 * (max_minutes or math.inf)

    def run(self):
        state = checkpoints.restore_latest(self.workdir, self.networks, self.trainer.optimizers)
        start = state["step"] if state else 0
        self.best_loss = state["best_loss"] if state and state["best_loss"] else math.inf
        if start >= self.config.steps:
            print(f"{self.workdir}: all {start} steps are done", file=sys.stderr)
            return
        print(
            f"{'resuming at step ' + str(start) if start else 'starting'}: "
            f"{len(self.split.training)} patients to train on, {len(self.split.validation)} to "
            f"validate, {len(self.split.test)} held out; the first step is traced, which takes "
            "up to a minute",
            file=sys.stderr,
        )
        self.history = History(self.workdir, start)
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._steps(start)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number, frame):
        del frame
        if self.stop_signal is not None:  # asked twice: do not wait for the checkpoint
            raise KeyboardInterrupt
        self.stop_signal = number

    def _steps(self, start):
        config = self.config
        batches = iter(
            training_pipeline(
                self.dataset,
                self.split.training,
                config.batch_size,
                config.seed,
                start_step=start,
                augment=config.augmentations,
                reconstruct=self.reconstructions and self.reconstructions.load,
            )
        )
        interval = 0.5 if sys.stderr.isatty() else 60.0
        with tqdm(
            total=config.steps, initial=start, unit="step", mininterval=interval, smoothing=0.1
        ) as bar:
            for step in range(start + 1, config.steps + 1):
                began = time.monotonic()
                scalars = self.trainer.train_step(next(batches), tf.constant(step))
                scalars = {name: float(value) for name, value in scalars.items()}
                self._require_finite(step, scalars)
                bar.set_postfix({k: f"{v:.3g}" for k, v in scalars.items()}, refresh=False)
                bar.update()
                timed_out = time.monotonic() > self.deadline
                last = step == config.steps or timed_out
                if last or step % _HISTORY_EVERY == 0:
                    scalars["seconds"] = time.monotonic() - began
                    self.history.scalars(step, "training", scalars)
                if last or step % config.validate_every == 0:
                    self._validate(step)
                if last or step % config.checkpoint_every == 0 or self.stop_signal is not None:
                    self._save(step)
                if self.stop_signal is not None:
                    raise Interrupted(f"stopped at step {step}; the same command resumes there")
                if timed_out:
                    bar.write(f"time is up at step {step}; the same command goes on from there")
                    return

    def _require_finite(self, step, scalars):
        bad = [name for name, value in scalars.items() if not math.isfinite(value)]
        if not bad:
            return
        ids = batch_ids(self.split.training, self.config.batch_size, self.config.seed, step - 1)
        raise UserError(
            f"step {step}: {', '.join(bad)} is not a number on patient {', '.join(ids)}; check "
            "that patient's files, or lower --learning_rate; the last checkpoint is whole"
        )

    def _validate(self, step):
        """Score the validation patients, keep the weights if they are the best so far."""
        rows = []
        for position, patient in enumerate(self.split.validation):
            arrays = network_arrays(self.dataset.load(patient))
            if self.reconstructions is not None:
                arrays["reconstruction"] = self.reconstructions.load(patient)[..., np.newaxis]
            batch = {name: tf.constant(array[np.newaxis]) for name, array in arrays.items()}
            # The same planes at every validation, so that losses compare.
            scalars, ct, labels = self.trainer.validation_step(batch, tf.constant(position))
            row = {name: float(value) for name, value in scalars.items()}
            ct = np.clip(ct.numpy(), 0.0, 1.0)[0, ..., 0]
            if self.config.reconstructs:
                row["psnr"] = psnr(arrays["ct"][..., 0], ct)
            if labels is not None:
                dice = dice_per_class(arrays["segmentation"], labels.numpy()[0], NUM_CLASSES)
                row["dice_hard"] = float(np.nanmean(dice))
            rows.append(row)
            if position == 0:
                self.history.planes(step, arrays["ct"][..., 0], ct)
        means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        self.history.scalars(step, "validation", means)
        if means["loss"] < self.best_loss:
            self.best_loss = means["loss"]
            # A discriminator is of no use to a finished run.
            used = {name: self.networks[name] for name in TAUGHT if name in self.networks}
            checkpoints.save(self.workdir / "best", used, {}, {"step": step, "validation": means})

    def _save(self, step):
        best_loss = self.best_loss if math.isfinite(self.best_loss) else None
        checkpoints.save_step(
            self.workdir, step, self.networks, self.trainer.optimizers, {"best_loss": best_loss}
        )
