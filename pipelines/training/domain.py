"""Training of a small domain model beside a frozen base: ordinary denoising on the domain's clips alone (Video Adapter, section 3.2).

Yang et al., "Probabilistic Adaptation of Text-to-Video Models", arXiv 2306.01872. The prior is not in the training at all: the small
model shares its text encoder, autoencoder, schedule and kind of prediction, so that their predictions can be composed later.
The base's text encoder and autoencoder are frozen, so captions and clips are encoded once.

    python -m pipelines.training.domain --base assets/pocket --clips FOLDER --caption "..." --out FOLDER --minutes 5
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from ..domain_models import FILE, DomainModel, load_domain_model, save_domain_model
from ..domain_unet import small_unet
from ..errors import IncompatibleModels, StudioError
from ..inflation import VideoUNet
from ..latent_space import LatentSpace, weights_hash
from ..pocket.card import loss_curve
from ..text_to_video import TextToVideoPipeline
from .clips import ClipFolder
from .domain_recipe import DomainRecipe
from .loop import Batch, LoopConfig, Progress, train
from .material import DomainBatches, EncodedClips, Material, encode_clips, encode_retouched, encode_texts
from .objective import DenoisingObjective, ObjectiveConfig

StepWatcher = Callable[[Progress, float], None]
SampleWatcher = Callable[[np.ndarray, list[str], str], None]


class DomainObjective(DenoisingObjective):
    """The denoising loss on encoded clips, in the base's own kind of prediction: forward(batch, step) -> loss."""

    def __init__(self, unet: VideoUNet, pipe: TextToVideoPipeline, config: ObjectiveConfig, retouched_above: float) -> None:
        super().__init__(unet, nn.Identity(), nn.Identity(), pipe.scheduler.alphas_cumprod, config)
        self.retouched_above = retouched_above
        self.kind = pipe.scheduler.config.prediction_type

    def forward(self, batch: Batch, step: int) -> torch.Tensor:
        clean = batch["latents"].float()
        generator = torch.Generator(clean.device).manual_seed(step)
        t = self._timesteps(len(clean), generator, clean.device)
        alpha = self.alphas_cumprod[t].sqrt().view(-1, 1, 1, 1, 1)
        sigma = (1 - self.alphas_cumprod[t]).sqrt().view(-1, 1, 1, 1, 1)
        noise = self.config.noise_prior.sample(tuple(clean.shape), generator, clean.device)
        seen = torch.where(sigma > self.retouched_above * alpha, batch["seen"].float(), clean)
        predicted = self._predict(alpha * seen + sigma * noise, t, clean, batch).float()
        if self.kind == "sample":
            scale = sigma.clamp(min=self.config.sigma_floor)
            return ((predicted - clean) / scale).square().mean()
        noise = noise + alpha / sigma * (seen - clean)  # what lies between the clean clip and what the network sees
        wanted = noise if self.kind == "epsilon" else alpha * noise - sigma * clean
        return (predicted - wanted).square().mean()

    def _predict(self, noisy: torch.Tensor, t: torch.Tensor, clean: torch.Tensor, batch: Batch) -> torch.Tensor:
        pooled = batch["pooled"].float() if "pooled" in batch else None
        given = {"given_frames": clean, "given_mask": batch["given"]} if self.unet.config.condition_frames else {}
        return self.unet(noisy, t, batch["context"].float(), class_labels=pooled, fps=batch["fps"], **given).sample


# ---------------------------------------------------------------------------------------------------------------------
# The training


def train_domain_model(
    pipe: TextToVideoPipeline,
    material: Material,
    model: DomainModel,
    recipe: DomainRecipe,
    *,
    init: Path | None = None,
    sample_prompts: Sequence[str] = (),
    on_step: StepWatcher | None = None,
    on_sample: SampleWatcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    card: Callable[[DomainModel], str] | None = None,
) -> DomainModel:
    """Trains a small model and writes it to `model.folder`; a second call goes on where the first was stopped or killed.

    Args:
        pipe: the base; it is only read.
        model: what the folder will say; latent space, text encoder and parameters are filled in.
        init: a domain model of this base and size, whose weights the training starts from.
        sample_prompts: are drawn every `sample_every_s` seconds, on the small model alone.
        on_step: told the progress and the loss of each step.
        on_sample: given clips uint8 (n, f, h, w, 3), their prompts, and a tag.
        should_stop: ends the training early; what was learned is kept.
        card: README.md from the finished description.
    """
    state = model.folder / "training"
    unet = _fresh_unet(pipe, material, recipe)
    if init is not None:
        _start_from(unet, load_domain_model(init))
    asked = ObjectiveConfig(pipe.defaults.noise_prior, recipe.focus, recipe.focus_share)
    objective = DomainObjective(unet, pipe, asked, recipe.retouched_above)
    config = LoopConfig(60 * recipe.minutes, recipe.learning_rate, sample_every_s=recipe.sample_every_s, decay_from=0.5, seed=recipe.seed)
    draw = _sampler(pipe, unet, list(sample_prompts), on_sample) if sample_prompts and on_sample else None
    progress = train(objective, DomainBatches(material, recipe), state, config, sample=draw, on_step=on_step, should_stop=should_stop)
    filled = replace(
        model,
        latent_space=LatentSpace.of(pipe.vae).to_dict(),
        text_encoder=weights_hash(pipe.text_encoder),
        parameters=sum(p.numel() for p in unet.parameters()),
    )
    curve = loss_curve([state / "loss.csv"]) if progress.step >= 50 else ""
    saved = save_domain_model(model.folder, unet, filled, card(filled) if card else "", curve)
    if progress.seconds >= config.seconds:
        shutil.rmtree(state)
    return saved


def train_on_clips(
    pipe: TextToVideoPipeline,
    clips: ClipFolder,
    folder: Path,
    recipe: DomainRecipe,
    *,
    title: str = "",
    caption: str = "",
    base: str = "",
    on_step: StepWatcher | None = None,
    on_sample: SampleWatcher | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> DomainModel:
    """Trains a domain model on a person's clips; see `train_domain_model`.

    Args:
        clips: at the base's size, length and frame rate.
        folder: of the domain model; its name is the model's.
        title: for people; empty for the folder's name.
        caption: the words that belong in a prompt for it.
        base: name of the resident model.
    """
    count = len(clips.captions)
    model = DomainModel(
        name=folder.name,
        title=title or folder.name,
        description=f"Learned from {count} clip{'s' * (count != 1)} in {recipe.minutes:g} minutes.",
        caption=caption or None,
        base=base,
        made=datetime.date.today().isoformat(),
        folder=folder,
    )
    texts = encode_texts(pipe, clips.captions)
    captions = texts.look_up([[text] for text in clips.captions])
    encoded = EncodedClips(encode_clips(pipe, clips.pixels), captions, encode_retouched(pipe, clips.pixels, recipe.seed))
    return train_domain_model(
        pipe,
        Material(encoded, texts, pipe.defaults.fps),
        model,
        recipe,
        sample_prompts=list(dict.fromkeys(clips.captions))[:2],
        on_step=on_step,
        on_sample=on_sample,
        should_stop=should_stop,
    )


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a domain model whose training has used its budget."""
    return (folder / FILE).exists() and not (folder / "training").exists()


def _fresh_unet(pipe: TextToVideoPipeline, material: Material, recipe: DomainRecipe) -> VideoUNet:
    some = material.clips.latents[:200].float()
    variance, mean = torch.var_mean(some, dim=(0, 2, 3, 4))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        unet = small_unet(pipe.unet, recipe.share, pipe.scheduler, mean, variance)
    if not torch.cuda.is_available() and not unet.config.sparse_causal:
        unet.set_attn_processor(AttnProcessor())  # trains a tenth faster than the fused kernel there
    return unet


def _start_from(unet: VideoUNet, other: nn.Module) -> None:
    """Copies the other network's weights.

    Raises:
        IncompatibleModels: when it is of another shape.
    """
    shapes, theirs = ({name: value.shape for name, value in network.state_dict().items()} for network in (unet, other))
    if shapes != theirs:
        count = sum(p.numel() for p in other.parameters())
        raise IncompatibleModels(f"The model to start from has {count:,} parameters in another arrangement.", "Choose the same share.")
    unet.load_state_dict(other.state_dict())


def _sampler(pipe: TextToVideoPipeline, unet: VideoUNet, prompts: list[str], on_sample: SampleWatcher) -> Callable[[nn.Module, str], None]:
    """Draws the prompts with the small network in the base's place."""
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    small = TextToVideoPipeline(pipe.vae, pipe.text_encoder, pipe.tokenizer, unet, scheduler, pipe.defaults.to_dict())
    small.set_progress_bar_config(disable=True)

    def draw(_: nn.Module, tag: str) -> None:
        generators = [torch.Generator().manual_seed(i) for i in range(len(prompts))]
        frames = small(prompts, generator=generators).frames
        on_sample(np.round(np.asarray(frames) * 255).astype(np.uint8), prompts, tag)

    return draw


# ---------------------------------------------------------------------------------------------------------------------
# The command line


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains a domain model from a folder of clips; its exit status. Ctrl-C keeps what was learned, and the same command goes on."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.training.domain", description="Train a small domain model beside a base.")
    parser.add_argument(
        "--clips", type=Path, required=True, metavar="FOLDER", help="MP4, MOV, WebM or GIF files, with captions beside them"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the domain model; its name is the model's")
    parser.add_argument("--base", type=Path, default=Path("assets/pocket"), metavar="DIR", help="the prior (default: %(default)s)")
    parser.add_argument("--caption", default="", help="of every clip that has none of its own")
    parser.add_argument("--minutes", type=float, default=5, help="training time (default: %(default)s)")
    parser.add_argument("--share", type=float, default=0.1, help="most parameters, as a share of the prior's (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="of the frozen encoders, cpu or cuda (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        model = _train(chosen)
    except StudioError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{model.title}, {model.parameters:,} parameters, is in {model.folder}.")
    return 0


def _train(chosen: argparse.Namespace) -> DomainModel:
    from ..checkpoints import load_text_to_video

    recipe = DomainRecipe(minutes=chosen.minutes, share=chosen.share)
    pipe = load_text_to_video(chosen.base, chosen.device)
    own = pipe.defaults
    clips = ClipFolder.read(chosen.clips, chosen.caption, width=own.width, height=own.height, frames=own.num_frames, fps=own.fps)
    for note in clips.notes:
        print(note, file=sys.stderr)
    with _Interrupted() as interrupted:
        return train_on_clips(
            pipe,
            clips,
            chosen.out,
            recipe,
            caption=chosen.caption,
            base=chosen.base.name,
            on_sample=lambda shown, _, tag: _keep(chosen.out / "training" / f"sample-{tag}.png", shown),
            should_stop=interrupted,
        )


class _Interrupted:
    """True once Ctrl-C was pressed inside the `with`; a second time is an ordinary KeyboardInterrupt."""

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> _Interrupted:
        self.before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.before)

    def __call__(self) -> bool:
        return self.pressed

    def _press(self, *_: object) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        print("Stopping; what was learned is kept.", file=sys.stderr)


def _keep(path: Path, clips: np.ndarray) -> None:
    """A PNG of clips uint8 (n, f, h, w, 3), one a row."""
    from PIL import Image

    Image.fromarray(np.concatenate([np.concatenate(list(clip), axis=1) for clip in clips])).save(path)


if __name__ == "__main__":
    sys.exit(main())
