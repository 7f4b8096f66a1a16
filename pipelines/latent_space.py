"""What makes the latents of two models mean the same: a signature of the autoencoder, compared before scores are added."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import nn

from .errors import IncompatibleModels


@dataclass(frozen=True)
class LatentSpace:
    """The signature of a latent space.

    Args:
        autoencoder: class name.
        channels: of a latent.
        spatial: pixels a latent, along each side.
        temporal: frames a latent.
        scaling: what latents are multiplied by.
        weights: short hash of the autoencoder's weights; "" where it is not known, which agrees with any.
    """

    autoencoder: str
    channels: int
    spatial: int
    temporal: int = 1
    scaling: float = 1.0
    weights: str = ""

    @classmethod
    def of(cls, vae: nn.Module) -> LatentSpace:
        """The space of an autoencoder: `PatchAutoencoder`, or any of diffusers'."""
        config: Any = vae.config
        return cls(
            autoencoder=type(vae).__name__,
            channels=channels_of(vae),
            spatial=spatial_of(vae),
            temporal=temporal_of(vae),
            scaling=float(_first(config, "scaling_factor", default=1.0)),
            weights=weights_hash(vae),
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LatentSpace:
        """Unknown keys, from a newer version, are left alone.

        Raises:
            IncompatibleModels: when the signature is incomplete.
        """
        try:
            return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
        except TypeError as error:
            raise IncompatibleModels(f"The latent space {values!r} is not described in full.", "Save the model again.") from error

    def __str__(self) -> str:
        weights = f", weights {self.weights}" if self.weights else ""
        size = f"{self.channels} channels, {self.temporal}x{self.spatial}x{self.spatial}"
        return f"{self.autoencoder} ({size}, scaled by {self.scaling:g}{weights})"


def check_same_space(prior: LatentSpace, adapter: LatentSpace) -> None:
    """Two models whose latents mean different things must not be composed: the sum of their scores is noise.

    Raises:
        IncompatibleModels: naming both spaces.
    """
    known = bool(prior.weights and adapter.weights)
    if any(getattr(prior, f.name) != getattr(adapter, f.name) for f in fields(LatentSpace) if f.name != "weights" or known):
        raise IncompatibleModels(
            f"The prior works in the latents of {prior}, the adapter in those of {adapter}.",
            "Compose two models that share one autoencoder.",
        )


def weights_hash(module: nn.Module) -> str:
    """The first 16 hex digits of the SHA-256 of all parameters and buffers in half precision, in which they are often stored."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update((tensor.half() if tensor.is_floating_point() else tensor).detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def channels_of(vae: nn.Module) -> int:
    """Channels of a latent; 0 where the autoencoder does not say."""
    config: Any = vae.config
    return int(_first(config, "latent_channels", "z_dim", default=0))


def spatial_of(vae: nn.Module) -> int:
    """Pixels a latent: what the autoencoder says of itself, or one halving between each two of its levels."""
    config: Any = vae.config
    if isinstance(config.get("patch_size"), int) and type(vae).__name__ == "PatchAutoencoder":
        return config["patch_size"]
    told = _first(config, "scale_factor_spatial", "spatial_compression_ratio", default=getattr(vae, "spatial_compression_ratio", 0))
    levels = _first(config, "block_out_channels", "dim_mult", default=(0,))
    return int(told) or 2 ** (len(levels) - 1)


def temporal_of(vae: nn.Module) -> int:
    """Frames a latent: what the autoencoder says of itself, or one halving a level that halves time (spelt in two ways)."""
    config: Any = vae.config
    told = getattr(vae, "temporal_compression_ratio", 0)
    told = _first(config, "scale_factor_temporal", "temporal_compression_ratio", default=told)
    return int(told) or 2 ** sum(map(bool, _first(config, "temperal_downsample", "temporal_downsample", default=())))


def _first(config: Any, *names: str, default: Any) -> Any:
    """The first of these that the configuration has."""
    return next((config[name] for name in names if config.get(name) is not None), default)
