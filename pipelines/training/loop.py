"""One training loop for every stage: a time budget instead of a number of steps, and a kill at any moment costs minutes at most.

The loop knows nothing about diffusion: it is given a module whose forward takes a batch and returns a loss, and a function from the
step number to the batch. Both being functions of the step, a resumed run goes on as if it had not stopped.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn

Batch = dict[str, torch.Tensor]
LONGEST_STEP_S = 20.0  # a longer step was a suspended machine, and does not count against the budget


@dataclass(frozen=True)
class LoopConfig:
    """How a stage is trained.

    Args:
        seconds: time budget, summed over resumes.
        learning_rate: peak learning rate of AdamW.
        new_layers_factor: the learning rate of parameters that `is_new` names, as a multiple.
        ema_decay: of the averaged weights that are kept.
        checkpoint_every_s: seconds between checkpoints.
        sample_every_s: seconds between calls of `sample`.
        decay_from: share of the budget after which the learning rate falls linearly to 2 %.
        seed: of everything random.
    """

    seconds: float
    learning_rate: float = 1.2e-3
    new_layers_factor: float = 1.0
    ema_decay: float = 0.998
    checkpoint_every_s: float = 120.0
    sample_every_s: float = 600.0
    decay_from: float = 0.5
    warmup_steps: int = 100
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    seed: int = 0


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0
    seconds: float = 0.0
    sampled_at: float = 0.0


def train(
    model: nn.Module,
    batch_at: Callable[[int], Batch],
    folder: Path,
    config: LoopConfig,
    is_new: Callable[[str], bool] = lambda name: False,
    sample: Callable[[nn.Module, str], None] | None = None,
    on_step: Callable[[Progress, float], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Trains `model` in place until the budget is spent, resuming from `folder` where there is a checkpoint.

    Args:
        model: `model(batch, step)` returns the loss, a scalar.
        batch_at: the batch of a step, on the CPU.
        folder: checkpoints, `loss.csv` and whatever `sample` writes.
        is_new: true for names of parameters that start from nothing (they learn faster).
        sample: called with the model under its averaged weights and a tag.
        on_step: told the progress and the loss after each step.
        should_stop: asked before each step; the run then ends as if its budget were spent, and can go on later.

    At the end, and while `sample` runs, the model holds the averaged weights.
    """
    accelerator = Accelerator(mixed_precision="bf16")
    if accelerator.device.type == "cpu":
        torch.backends.cuda.enable_flash_sdp(False)  # its backward takes over half of the time on a CPU
    model, optimizer = accelerator.prepare(model, _optimizer(model, config, is_new))
    trained = [p for p in model.parameters() if p.requires_grad]
    ema = EMAModel(trained, decay=config.ema_decay, foreach=True)
    accelerator.register_for_checkpointing(ema)
    watch = _Watch(sample, on_step, should_stop)
    run = _Run(accelerator, model, optimizer, ema, trained, folder, config, watch, _resume(accelerator, folder))
    with ThreadPoolExecutor(1) as ahead, _LossLog(folder / "loss.csv", run.progress) as log:
        run.to_the_end(batch_at, ahead, log)
    ema.copy_to(trained)
    return run.progress


@dataclass(frozen=True)
class _Watch:
    """Whom a run tells, and who may end it; see `train`."""

    sample: Callable[[nn.Module, str], None] | None
    on_step: Callable[[Progress, float], None] | None
    should_stop: Callable[[], bool]


@dataclass
class _Run:
    """A run in progress: everything that a step, a checkpoint or a sample touches."""

    accelerator: Accelerator
    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: EMAModel
    trained: list[nn.Parameter]
    folder: Path
    config: LoopConfig
    watch: _Watch
    progress: Progress

    def to_the_end(self, batch_at: Callable[[int], Batch], ahead: ThreadPoolExecutor, log: _LossLog) -> None:
        """Steps until the budget is spent; the next batch is made while a step is computed."""
        progress, saved_at = self.progress, self.progress.seconds
        coming = ahead.submit(batch_at, progress.step)
        last = time.perf_counter()
        while progress.seconds < self.config.seconds and not self.watch.should_stop():
            batch = {name: value.to(self.accelerator.device, non_blocking=True) for name, value in coming.result().items()}
            coming = ahead.submit(batch_at, progress.step + 1)
            loss = self._step(batch)
            now = time.perf_counter()
            progress.step += 1
            progress.seconds += min(now - last, LONGEST_STEP_S)
            last = now
            value = log.add(progress, loss)
            if self.watch.on_step is not None:
                self.watch.on_step(progress, value)
            if progress.seconds - saved_at > self.config.checkpoint_every_s:
                self._save()
                saved_at = progress.seconds
            if self.watch.sample is not None and progress.seconds - progress.sampled_at > self.config.sample_every_s:
                self._draw(self.watch.sample)
                last = time.perf_counter()
        self._save()

    def _step(self, batch: Batch) -> torch.Tensor:
        scale = _learning_rate_scale(self.progress, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * scale
        loss = self.model(batch, self.progress.step)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.trained, self.config.gradient_clip)
        self.optimizer.step()
        self.ema.step(self.trained)
        return loss

    def _draw(self, sample: Callable[[nn.Module, str], None]) -> None:
        """Has a sample drawn with the averaged weights."""
        self.progress.sampled_at = self.progress.seconds
        self.ema.store(self.trained)
        self.ema.copy_to(self.trained)
        self.model.eval()
        with torch.no_grad():
            sample(self.accelerator.unwrap_model(self.model), f"{self.progress.seconds:06.0f}s")
        self.model.train()
        self.ema.restore(self.trained)

    def _save(self) -> None:
        """A checkpoint counts once its progress.json is there; older ones go only after that."""
        target = self.folder / f"checkpoint-{self.progress.step:08d}"
        self.accelerator.save_state(str(target))
        (target / "progress.json").write_text(json.dumps(vars(self.progress)))
        for old in sorted(self.folder.glob("checkpoint-*")):
            if old != target:
                shutil.rmtree(old)


def _optimizer(model: nn.Module, config: LoopConfig, is_new: Callable[[str], bool]) -> torch.optim.Optimizer:
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[is_new(name)].append(parameter)
    rates = {True: config.learning_rate * config.new_layers_factor, False: config.learning_rate}
    settings = [{"params": params, "lr": rates[new], "peak": rates[new]} for new, params in groups.items() if params]
    return torch.optim.AdamW(settings, weight_decay=config.weight_decay, betas=(0.9, 0.99), fused=True)


def _learning_rate_scale(progress: Progress, config: LoopConfig) -> float:
    share = progress.seconds / config.seconds
    warmup = min(1.0, (progress.step + 1) / config.warmup_steps)
    decay = 1.0 if share < config.decay_from else max(0.02, (1 - share) / (1 - config.decay_from))
    return warmup * decay


def _resume(accelerator: Accelerator, folder: Path) -> Progress:
    folder.mkdir(parents=True, exist_ok=True)
    complete = [c for c in sorted(folder.glob("checkpoint-*")) if (c / "progress.json").exists()]
    if not complete:
        return Progress()
    accelerator.load_state(str(complete[-1]))
    return Progress(**json.loads((complete[-1] / "progress.json").read_text()))


class _LossLog:
    """Mean losses over 50 steps as CSV: step, seconds, loss. Rows beyond the resumed step are dropped."""

    EVERY = 50

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self.sum, self.count = path, 0.0, 0
        rows = [r for r in csv.reader(path.open())][1:] if path.exists() else []
        self.rows = [r for r in rows if int(r[0]) <= progress.step]

    def __enter__(self) -> _LossLog:
        self.file = self.path.open("w", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerows([("step", "seconds", "loss"), *self.rows])
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, progress: Progress, loss: torch.Tensor) -> float:
        """The loss as a number. Raises FloatingPointError when it is none."""
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"The loss is {value} at step {progress.step}. Lower the learning rate and resume.")
        self.sum, self.count = self.sum + value, self.count + 1
        if self.count == self.EVERY:
            self.writer.writerow((progress.step, f"{progress.seconds:.1f}", f"{self.sum / self.count:.5f}"))
            self.file.flush()
            print(f"step {progress.step}  {progress.seconds:.0f} s  loss {self.sum / self.count:.4f}", flush=True)
            self.sum, self.count = 0.0, 0
        return value
