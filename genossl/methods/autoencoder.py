"""Autoencoder: put a window into one vector, and rebuild its bases from that.

Hinton, Salakhutdinov: "Reducing the dimensionality of data with neural networks", Science 313:504 (2006),
doi 10.1126/science.1127647. With noise: Vincent, Larochelle, Bengio, Manzagol: "Extracting and composing robust
features with denoising autoencoders", ICML (2008), doi 10.1145/1390156.1390294. For the one-hot bases o of a window and
its noisy reading x~:

    L = mean over known bases and the four letters of (D(f(x~)) - o)^2

A quarter of Brier's score, so the best rebuilt base is the posterior of the letters given the code. The same vector for
all windows gives (1 - sum of p_b^2) / 4, 0.1875 at equal shares p_b. The code has to hold fewer numbers than the window
has bases, else it is a copy. With linear maps the best code is that of the principal components.
"""

# B windows, L bases, T frames, C context channels, P channels of the code, H channels of the decoder

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genossl.genome.alphabet import MASK, N
from genossl.genome.windows import Batch, Sampler, Windows
from genossl.model.encoder import Encoder
from genossl.pretext.heads import check_sees_bases, check_whole_frames, summary
from genossl.pretext.method import Loss, Method, Views
from genossl.pretext.views import choose, either_strand, substitute

if TYPE_CHECKING:
    from genossl.genome.store import TokenStore


class Autoencoder(Method):
    """A window from its noisy self, through one vector."""

    preset = "conv"

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 500  # bases of a window
        code: int = 0  # P, channels that the window goes through; 0: the encoder's context itself
        hidden: int = 32  # H, channels of the decoder's frames; 0: one linear map from the code to the bases
        noise: float = 0.1  # share of the bases that is read as another; 0: nothing but the window itself
        hide: float = 0.0  # share of the bases that is read as MASK, to be filled in from the rest
        span: int = 10  # bases of a stretch that is hidden as one
        strand: float = 0.5  # probability that a window is read on the other strand
        most_n: float = 0.05  # windows with a larger share of N are drawn anew; 1: never

        def __post_init__(self) -> None:
            if min(self.length, self.span) < 1 or min(self.code, self.hidden) < 0:
                raise ValueError("length and span must be at least 1, code and hidden not negative")
            if not all(0 <= share <= 1 for share in (self.noise, self.hide, self.strand, self.most_n)):
                raise ValueError("noise, hide, strand and most_n must be from 0 to 1")

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        super().__init__(settings, encoder)
        self.settings = s = settings
        check_sees_bases("autoencoder", encoder, self.preset)
        check_whole_frames("autoencoder", s.length, encoder)
        width = s.code or encoder.channels
        self.code = nn.Linear(encoder.channels, width) if s.code else nn.Identity()
        self.decoder = decoder(width, s.length, encoder, s.hidden)

    @property
    def length(self) -> int:
        return self.settings.length

    def sampler(self, store: TokenStore, rows: np.ndarray) -> Sampler:
        return Windows(store, rows, self.settings.length, self.settings.most_n)

    def views(self, batch: Batch, rng: np.random.Generator) -> Views:
        """noisy_tokens, clean uint8 (B, L)."""
        s = self.settings
        clean_BL = either_strand(batch.tokens, s.strand, rng)
        noisy_BL = substitute(clean_BL, s.noise, rng)
        if s.hide:
            noisy_BL = noisy_BL.masked_fill(choose(clean_BL, s.hide, s.span, rng), MASK)
        return {"noisy_tokens": noisy_BL, "clean": clean_BL}

    def loss(self, views: Views) -> Loss:
        """The squared error, and the share of bases whose largest letter is the right one."""
        code_BP = self.code(summary(self.encoder, views["noisy_tokens"]))
        rebuilt_B4L, clean_BL = self.decoder(code_BP), views["clean"]
        known_BL = clean_BL < N
        right = ((rebuilt_B4L.argmax(1) == clean_BL) & known_BL).sum() / known_BL.sum().clamp(min=1)
        metrics = {"top1": right, "candidates": torch.tensor(4.0, device=right.device)}
        return Loss({"rebuilt": squared_error(rebuilt_B4L, clean_BL)}, metrics, code_BP.detach())


def squared_error(rebuilt_B4L: Tensor, tokens_BL: Tensor) -> Tensor:
    """Mean over the known bases and their four letters; 0 where none is known, 1/4 for a rebuilt window of zeros."""
    one_hot_B4L = F.one_hot(tokens_BL.long(), MASK + 1)[..., :N].mT.float()
    error_BL = (rebuilt_B4L - one_hot_B4L).square().mean(1)
    known_BL = tokens_BL < N
    return (error_BL * known_BL).sum() / known_BL.sum().clamp(min=1)


def decoder(inputs: int, length: int, encoder: Encoder, hidden: int) -> nn.Sequential:
    """(B, P) to (B, 4, L): frames from the code, then the encoder's convolution turned round; or one linear map.

    It starts at equal letters: else all codes would first become the constant that is missing.
    """
    frames = encoder.frames(length)
    if hidden:
        last = nn.ConvTranspose1d(hidden, 4, encoder.width, encoder.stride)
        layers = (nn.Linear(inputs, hidden * frames), nn.GELU(), nn.Unflatten(1, (hidden, frames)), last)
    else:
        last = nn.Linear(inputs, 4 * length)
        layers = (last, nn.Unflatten(1, (4, length)))
    assert last.bias is not None
    nn.init.constant_(last.bias, 1 / 4)
    return nn.Sequential(*layers)
