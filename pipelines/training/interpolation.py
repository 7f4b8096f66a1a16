"""What `LatentFlow` is asked while it learns: the frame between two others, from clips without a caption."""

from __future__ import annotations

import torch
from torch import nn

from ..latent_flow import LatentFlow

WARPED_SHARE = 0.5  # of the loss before the second look, so that the flows carry as much as they can
SQUARED_SHARE = 15.0  # of squared errors beside absolute ones: what jumps out of its clip is what is far off


class FlowObjective(nn.Module):
    """Absolute and squared error of the frame between: forward(batch, step) -> loss.

    The batch has `pixels` uint8 (b, 3, h, w, 3): a frame, the one between, and the next; and `start` (b, 4, h, w), what
    `flows_to_neighbours` finds between the outer two. The autoencoder is frozen, and encodes.

    Args:
        network: learns.
        autoencoder: whose latents it reads.
    """

    def __init__(self, network: LatentFlow, autoencoder: nn.Module) -> None:
        super().__init__()
        self.network, self.autoencoder = network, autoencoder.requires_grad_(False)

    def forward(self, batch: dict[str, torch.Tensor], step: int) -> torch.Tensor:
        images = batch["pixels"].permute(1, 0, 4, 2, 3).float() / 127.5 - 1  # (3, b, c, h, w)
        latents = self._encode(images)
        planes = images if self.network.config.scale > 1 else latents
        between = self.network(latents[0], latents[2], planes[0], planes[2], batch["start"])
        error = between.made - planes[1]
        return error.abs().mean() + SQUARED_SHARE * error.square().mean() + WARPED_SHARE * (between.warped - planes[1]).abs().mean()

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        """(3, b, c, h, w) -> latents of the same leading axes, in float32."""
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            latents = self.autoencoder.encode(images.flatten(0, 1)).latent_dist.mode()
        return (latents * self.autoencoder.config.scaling_factor).unflatten(0, images.shape[:2])
