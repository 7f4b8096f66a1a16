"""What a network with given frames is asked, so that a clip can be continued many times over.

Continuing a clip again and again, a network is given frames of its own. Trained on true frames alone it believes them, and what each
window loses (a corner, an edge) is lost for good. Here some of the given frames are what the network itself, as it is now, makes of the
frames before them, and it is asked for the true ones: so it learns to mend what it does to a clip. The idea is Huang et al., "Self
Forcing", arXiv 2506.08009, section 3; two denoising steps stand for the whole sampling, without gradients through them.
"""

from __future__ import annotations

import torch

from .objective import DenoisingObjective

SECOND = (0.3, 0.7)  # where on the schedule the second of the two steps starts


class ContinuationObjective(DenoisingObjective):
    """As `DenoisingObjective`; where the batch has `before`, the first given frames are the network's own continuation of that.

    `before` is uint8 (b, k, h, w, 3), the k frames that come before the clip; the clip's first k are given.
    """

    def _given(self, clean: torch.Tensor, batch: dict[str, torch.Tensor], generator: torch.Generator) -> torch.Tensor:
        if "before" not in batch:
            return clean
        with torch.no_grad():
            before = self._encode(batch["before"])
            known = before.shape[2]
            window = torch.cat([before, clean[:, :, : clean.shape[2] - known]], dim=2)
            made = self._continued(window, known, batch, generator)
        return torch.cat([made[:, :, known : 2 * known], clean[:, :, known:]], dim=2)

    def _continued(self, window: torch.Tensor, known: int, batch: dict[str, torch.Tensor], generator: torch.Generator) -> torch.Tensor:
        """A window (b, c, f, h, w) as the network makes it in two steps, when its first `known` frames are given."""
        mask = torch.zeros_like(batch["given"])
        mask[:, :known] = 1
        last = len(self.alphas_cumprod) - 1
        low, high = SECOND
        u = torch.rand(len(window), generator=generator, device=window.device)
        made = torch.zeros_like(window)
        for t in (torch.full_like(u, last).long(), ((low + (high - low) * u) * last).long()):
            alpha, sigma = (value.sqrt().view(-1, 1, 1, 1, 1) for value in (self.alphas_cumprod[t], 1 - self.alphas_cumprod[t]))
            noise = self.config.noise_prior.sample(tuple(window.shape), generator, window.device)
            made = self._predict(alpha * made + sigma * noise, t, window, batch | {"given": mask}).float()
        return made
