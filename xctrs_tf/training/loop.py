"""A training run: resume, steps, validation, checkpoints, interruption."""

import contextlib
import dataclasses
import itertools
import logging
import math
import pathlib
import sys
import time

import keras
import numpy as np
from tqdm import tqdm

from xctrs_tf.data.dataset.mixture import open_parts
from xctrs_tf.data.stream.sample_stream import SampleStream, batch_ids
from xctrs_tf.errors import UserError
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.progress import progress_bar, stage
from xctrs_tf.training import checkpoints
from xctrs_tf.training.frozen_reconstruction import Reconstructions, copied_run, copy_finished_run
from xctrs_tf.training.history import History, state_without_checkpoint
from xctrs_tf.training.interruption import Interrupted, StopRequest
from xctrs_tf.training.objective import make_objective
from xctrs_tf.training.run import (
    build_networks,
    computed_precision,
    freeze_network,
    load_initial_weights,
    load_run,
    make_engine,
)
from xctrs_tf.training.run_folder import check_reconstruction_run, claim_workdir
from xctrs_tf.training.step.optimizer import TRAINED, make_optimizer
from xctrs_tf.training.validation import validate

_HISTORY_EVERY = 20


def train(config, workdir, deadline=math.inf):
    """Train to ``config.steps``, from the last checkpoint if there is one.

    Args:
        config: `TrainingConfig`; its ``fpmath`` is only recorded, since TensorFlow reads it
            from the environment when it is imported (`experiments.train` sets it).
        workdir: run folder; created if missing.
        deadline: save and return at this time, of `time.monotonic`, after one step at least.
            Without best weights so far, those of this step are kept until the first
            validation.

    Raises:
        UserError: for an invalid configuration, bad data, a folder of another configuration
            or one that another process writes to or that cannot be written, or a loss that
            is not finite.
        Interrupted: after SIGINT or SIGTERM, or when another worker is gone.
        KeyboardInterrupt: after a second signal.
    """
    config.check()
    parts = open_parts(config.data, config.fold)
    dataset = parts[0].dataset
    if dataset.size != config.size:
        raise UserError(
            f"--size={config.size}, but {config.data} was prepared at {dataset.size}: give "
            f"--size={dataset.size} or a --preset of that size"
        )
    split = dataset.split(config.fold)
    # At the start: a damaged patient of the validation would end the run hours later.
    patients = [(dataset, patient) for patient in split.validation]
    patients += [(part.dataset, patient) for part in parts for patient in part.ids]
    for owner, patient in progress_bar(patients, "verifying", unit="patient"):
        owner.verify([patient])
    engine = make_engine(config)
    with engine.scope():
        # Before VGG16 is made, which follows it as the networks do.
        keras.config.set_dtype_policy(computed_precision(config))
        objective = make_objective(config)
        # One worker creates the files, the others wait for them.
        writes = engine.workers.writes
        with folder_lock(workdir, "checkpoints") if writes else contextlib.nullcontext():
            _train(config, pathlib.Path(workdir), parts, engine, objective, deadline)


def _train(config, workdir, parts, engine, objective, deadline):
    workers = engine.workers
    if not workers.writes:
        workers.wait()
    else:
        claim_workdir(workdir, config, parts)
    reconstructions = _reconstructions(config, workdir, parts[0].dataset)
    if workers.writes:
        workers.wait()
    networks = build_networks(dataclasses.replace(config, precision=computed_precision(config)))
    freeze_network(config, networks)
    trainer = engine.make_trainer(
        networks,
        objective,
        lambda: make_optimizer(config),
        config.accumulation,
        config.remat,
    )
    _Loop(config, workdir, parts, engine, trainer, reconstructions, deadline).run()


def _reconstructions(config, workdir, dataset):
    """Return the `Reconstructions` of --reconstruction_run, or None without it."""
    if not config.reconstruction_run:
        return None
    folder = copy_finished_run(config.reconstruction_run, workdir)
    run = load_run(copied_run(workdir))
    check_reconstruction_run(config, run, dataset)
    split = dataset.split(config.fold)
    made = Reconstructions(run, dataset, folder)
    made.make(
        split.training + split.validation,
        lambda todo: progress_bar(todo, "reconstructing", unit="patient"),
    )
    return made


class _Loop:
    def __init__(self, config, workdir, parts, engine, trainer, reconstructions, deadline):
        self.config = config
        self.workdir = workdir
        self.parts = parts
        self.dataset = parts[0].dataset
        self.split = self.dataset.split(config.fold)
        self.engine = engine
        self.workers = engine.workers
        self.trainer = trainer
        self.networks = trainer.networks
        self.reconstructions = reconstructions
        self.deadline = deadline
        self.stop = StopRequest()
        # Only the writing worker has one.
        self.history = None
        # Lowest validation loss, validations since then, and the last validated step.
        self.best_loss, self.without_gain, self.validated = math.inf, 0, 0
        # Whether a validation has run in this process.
        self.traced = False

    def run(self):
        start = self._restore()
        if not self.workers.alike(start):
            raise UserError(
                f"--workdir={self.workdir}: the workers find different checkpoints there; it has "
                "to be a folder that all of them share"
            )
        if self.workers.writes:
            overlap = f"mean {self.dataset.label_name} of C1 to C7 (0 to 1), validation patients"
            events = self.engine.events(self.workdir, {"validation/dice_hard": overlap})
            self.history = History(self.workdir, start, events)
        with self.stop:
            if start != self.validated and self._is_due(start, last=start == self.config.steps):
                self._validate_again(start)
            # Only the writing worker counts validations.
            converged = any(self.workers.any(self._has_converged()))
            if start >= self.config.steps:
                self._say(f"{self.workdir}: all {start} steps are done")
            elif converged:
                self._say(self._why_early(start))
            else:
                self._say(
                    f"{'resuming at step ' + str(start) if start else 'starting'}: "
                    f"{sum(len(part.ids) for part in self.parts)} patients to train on, "
                    f"{len(self.split.validation)} to validate, {len(self.split.test)} held out; "
                    "the first step is traced, which takes up to a minute"
                )
                self._steps(start)

    def _restore(self):
        state = checkpoints.restore_latest(self.workdir, self.networks, self.trainer.optimizers)
        best = checkpoints.read_state(self.workdir / "best")
        if state is None and best is not None:
            state = state_without_checkpoint(self.workdir, best, self.config)
        if state is None:
            state = {"step": 0}
            for line in load_initial_weights(self.config, self.networks):
                self._say(line)
        loss = state.get("best_loss")
        self.best_loss = math.inf if loss is None else float(loss)
        self.without_gain = state.get("without_gain", 0)
        self.validated = state.get("validated", state["step"])
        if math.isfinite(self.best_loss) and best is None:
            logging.warning("%s: damaged; the next validation writes it", self.workdir / "best")
            self.best_loss, self.validated = math.inf, -1
        return state["step"]

    def _steps(self, start):
        config = self.config
        if self.workers.writes:
            checkpoints.check_space(self.workdir, self.networks, self.trainer.optimizers)
        batches = self._batches(start)
        first = next(batches)
        with self._named("tracing the training step", self.trainer.seconds_left_to_trace):
            self.trainer.trace(first)
        self._raise_if_stopped(start)
        with tqdm(
            total=config.steps,
            initial=start,
            unit="step",
            mininterval=0.5 if sys.stderr.isatty() else 60.0,
            smoothing=0.1,
            disable=not self.workers.writes,
        ) as bar:
            # The time of a step includes the wait for its batch.
            began = time.monotonic()
            for step, batch in enumerate(itertools.chain([first], batches), start + 1):
                # Before the first step TensorFlow optimises the graph.
                named = self._named("first step") if step == start + 1 else contextlib.nullcontext()
                with named:
                    scalars = self.trainer.train_step(batch, np.int32(step))
                    scalars = {name: float(value) for name, value in scalars.items()}
                self._require_finite(step, scalars)
                bar.set_postfix({k: f"{v:.3g}" for k, v in scalars.items()}, refresh=False)
                bar.update()
                late = time.monotonic() > self.deadline
                stopped, timed_out = self.workers.any(self.stop.made, late)
                last = step == config.steps
                if last or timed_out or step % _HISTORY_EVERY == 0:
                    self._record(step, "training", scalars | {"seconds": time.monotonic() - began})
                converged = False
                due = self._is_due(step, last)
                if not stopped and (due or timed_out):
                    if due or not math.isfinite(self.best_loss):
                        self._validate(step, counts=due)
                    stopped, converged = self.workers.any(self.stop.made, self._has_converged())
                if last or timed_out or stopped or converged or step % config.checkpoint_every == 0:
                    self._save(step)
                if stopped:
                    raise Interrupted(_stopped(step))
                if timed_out and not last:
                    self._say(f"time is up at step {step}; the same command goes on from there")
                elif converged and not last:
                    self._say(self._why_early(step))
                if last or timed_out or converged:
                    return
                began = time.monotonic()

    def _validate_again(self, step):
        self._validate(step)
        self._raise_if_stopped(step)
        self._save(step)

    def _raise_if_stopped(self, step):
        """Raise Interrupted after a signal on any worker; nothing is left to save."""
        if any(self.workers.any(self.stop.made)):
            raise Interrupted(_stopped(step))

    def _batches(self, start):
        config = self.config
        samples = SampleStream(
            self.parts,
            config.batch_size,
            config.seed,
            config.augment_entries,
            self.reconstructions and self.reconstructions.load,
            config.drawn_vgg_planes,
            config.film_normalization,
            config.reconstructs,
        )
        return self.engine.batches(samples, start)

    def _require_finite(self, step, scalars):
        bad = [name for name, value in scalars.items() if not math.isfinite(value)]
        if not bad:
            return
        ids = batch_ids(self.parts, self.config.batch_size, self.config.seed, step - 1)
        raise UserError(
            f"step {step}: {', '.join(bad)} is not a number on patient {', '.join(ids)}; check "
            "that patient's files, or begin in another --workdir with a lower --learning_rate; the "
            "last checkpoint is whole"
        )

    def _is_due(self, step, last):
        return last or step % self.config.validate_every == 0

    def _validate(self, step, counts=True):
        """Score the validation patients and keep the weights if they are the best so far.

        A signal ends the validation without a result; the resumed run repeats it. One that
        does not count leaves the weights until one that does, and no other trace.
        """
        if not self.workers.writes:
            return
        # The first one of a process traces the networks.
        named = contextlib.nullcontext() if self.traced else stage("first validation")
        self.traced = True
        with self.trainer.averaged_weights(), named:
            result = validate(
                self.trainer,
                self.dataset,
                self.split.validation,
                self.config,
                self.reconstructions,
                stopped=lambda: self.stop.made,
            )
            if result is None:
                return
            is_best = result.means["loss"] < self.best_loss
            if counts:
                self._record(step, "validation", result.means)
                self.history.pictures(step, result.patients)
            if is_best:
                # A finished run does not use the discriminator.
                used = {name: self.networks[name] for name in TRAINED if name in self.networks}
                state = {"step": step, "validation": result.means}
                checkpoints.save(self.workdir / "best", used, {}, state)
        if not counts:
            return
        if is_best:
            self.best_loss, self.without_gain = result.means["loss"], 0
        elif step % self.config.validate_every == 0:
            self.without_gain += 1
        self.validated = step

    def _has_converged(self):
        return 0 < self.config.patience <= self.without_gain

    def _why_early(self, step):
        return (
            f"{self.workdir}: ended early at step {step}, after {self.without_gain} validations "
            "without a lower loss; a larger --patience goes on"
        )

    def _save(self, step):
        if self.workers.writes:
            state = {
                "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
                "without_gain": self.without_gain,
                "validated": self.validated,
            }
            checkpoints.save_step(self.workdir, step, self.networks, self.trainer.optimizers, state)
        # If a worker exited now, the cluster would end the one that still writes.
        self.workers.wait()

    def _record(self, step, kind, scalars):
        if self.workers.writes:
            self.history.scalars(step, kind, scalars)

    def _named(self, description, left=None):
        return stage(description, left=left) if self.workers.writes else contextlib.nullcontext()

    def _say(self, message):
        if self.workers.writes:
            tqdm.write(message, file=sys.stderr)


def _stopped(step):
    return f"stopped at step {step}; the same command resumes there"
