"""The encoder: frames of a sequence, read from left to right by a causal context network.

Two front ends make a frame out of the bases under it:

* `kmer`: the profile of the k-mers that lie inside the frame, standardised, through a two-layer perceptron. With
  `prefix` the profile of everything read so far goes through the same perceptron and is added to the context.
* `conv`: a strided convolution without activation, as in Self-GenomeNet (Gündüz et al. 2023, Communications Biology
  6:928). It meets the linear input map of the recurrence, so the two matrices are multiplied once per call and the
  convolution's channels are never formed: the same function and gradients at less than half the operations. With a
  stride of 1 it is the stem of methods that see single bases.

The context network is a recurrence, or the causal convolutions of wav2vec's aggregator (Schneider et al. 2019).

Both front ends use valid padding only and normalise over channels only, so a frame sees the bases
[t * stride, t * stride + width) and a context state sees nothing to the right of its frame.
"""

# B sequences, L bases, A letters, T frames, D frame channels, C context channels
# K k-mer positions of a frame, V kinds of k-mer

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genossl.errors import InputError
from genossl.genome.kmers import codes, kinds
from genossl.model.ranks import ALONE, Ranks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The encoder's shape: section `encoder`."""

    front: Literal["kmer", "conv"] = "kmer"  # what makes a frame: k-mer counts or a strided convolution
    k: int = 5  # bases of a k-mer (front kmer)
    canonical: bool = (
        True  # a k-mer and its reverse complement count as one (front kmer); off for strand-specific tasks
    )
    width: int = 100  # bases under a frame
    stride: int = 100  # bases from a frame to the next
    hidden: int = 512  # hidden units of the perceptron (front kmer)
    channels: int = 256  # D, channels of a frame
    rnn: Literal["gru", "lstm", "conv", "none"] = (
        "gru"  # the context network: a recurrence, causal convolutions, or none but the profile of the prefix
    )
    layers: int = 4  # of causal convolutions (rnn conv): 3 frames wide, each dilated twice as far as the one before
    context: int = 256  # C, channels of a context state
    prefix: bool = True  # add the profile of the prefix read so far (front kmer)
    mask: bool = False  # MASK has a channel of its own (front conv), for methods that hide bases; off: it reads as N
    dropout: float = 0.1  # in the perceptron, while training (front kmer)

    def __post_init__(self) -> None:
        for name in ("width", "stride", "channels", "context", "hidden", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and less than 1")
        if self.front == "kmer" and not 1 <= self.k <= min(8, self.width):
            raise ValueError(f"k must be from 1 to 8 and at most width ({self.width})")
        if self.rnn == "none" and not (self.front == "kmer" and self.prefix):
            raise ValueError("rnn none needs front kmer with prefix: nothing else would carry context")


class State(NamedTuple):
    """What the context network carries from one stretch of a sequence to the next."""

    rnn: tuple[Tensor, ...]  # each (1, B, C)
    counts_BV: Tensor  # k-mers read so far
    valid_B1: Tensor  # how many of them


class Frames(NamedTuple):
    """What the encoder has read, and what it needs to read on."""

    c: Tensor  # context states, float (B, T, C)
    state: State
    z: Tensor | None = None  # latents (B, T, D), where asked for: a frame before any context


class Encoder(nn.Module):
    """Tokens uint8 (B, L) to context states float32 (B, T, C), T = frames(L): a plain `nn.Module`.

    N is the zero vector of the convolution and no k-mer at all. Where several processes train together each reads a
    part of the rows, and all get all states.

    `state_dict`, `deepcopy`, pickle, `to`, `half`, `bfloat16` and `double` do what they do elsewhere (states of k-mer
    front ends then are of that type). `torch.compile` works; with `fullgraph=True` recurrences need
    `torch._dynamo.config.allow_rnn`. `torch.export` holds for the shape that it was given.

    Parameters
    ----------
    settings : Settings
        The section `encoder`: what the front end counts, widths, the context network.

    Attributes
    ----------
    width, stride : int
        Bases under a frame, and from a frame to the next.
    gap : int
        The smallest number of frames to skip so that two share no base.
    channels : int
        C of a context state.
    settings : Settings
        As given.

    Examples
    --------
    >>> import torch
    >>> from genossl.model.encoder import Settings
    >>> encoder = genossl.Encoder(Settings(k=3, width=20, stride=10, hidden=16, channels=8, context=12))
    >>> tokens_BL = torch.randint(0, 4, (2, 100), dtype=torch.uint8)
    >>> encoder(tokens_BL).c.shape, encoder.frames(100), encoder.gap
    (torch.Size([2, 9, 12]), 9, 1)
    """

    width: int
    stride: int
    gap: int
    channels: int
    settings: Settings
    ranks: Ranks  # the processes that train together
    front: KmerFront | ConvFront
    rnn: nn.LSTM | nn.GRU | CausalConvolutions | None
    norm: nn.LayerNorm | nn.Identity
    out: nn.Linear | nn.Identity
    level: nn.Linear | nn.Identity

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = s = settings
        self.length = 0  # bases of the windows that it was trained on; 0: not known
        self.width, self.stride, self.channels = s.width, s.stride, s.context
        self.gap = math.ceil(s.width / s.stride) - 1
        self.ranks = ALONE
        self.front = KmerFront(s) if s.front == "kmer" else ConvFront(s)
        self.rnn = None
        if s.rnn == "conv":
            self.rnn = CausalConvolutions(s)
        elif s.rnn != "none":
            self.rnn = (nn.LSTM if s.rnn == "lstm" else nn.GRU)(s.channels, s.context, batch_first=True)
        if isinstance(self.front, KmerFront):
            self.norm = nn.LayerNorm(s.channels) if self.rnn else nn.Identity()
            self.out = nn.Linear(s.context, s.context) if self.rnn else nn.Identity()
            self.level = nn.Identity() if s.channels == s.context else nn.Linear(s.channels, s.context)
        else:
            _keras_initialisation(self.front, self.rnn)

    def frames(self, length: int) -> int:
        """How many whole frames `length` bases hold."""
        return max(0, (length - self.width) // self.stride + 1)

    def join(self, ranks: Ranks) -> None:
        """Train together with other processes from now on."""
        self.ranks = ranks
        for module in self.modules():
            if isinstance(module, Dropout):
                module.ranks = ranks

    def fit_statistics(self, tokens_BL: Tensor) -> None:
        """Set the means and deviations that the front end standardises with, once, from training windows."""
        if isinstance(self.front, KmerFront):
            self.front.fit(tokens_BL)

    def forward(
        self, tokens_BL: Tensor, state: State | None = None, at_BS: Tensor | None = None, latents: bool = False
    ) -> Frames:
        """Read B sequences of at least `width` bases.

        Parameters
        ----------
        tokens_BL : Tensor
            uint8 (B, L): A, C, G, T = 0..3, N = 4, MASK = 5.
        state : State, optional
            Of the stretch before, which a longer sequence is continued from exactly where it stopped.
        at_BS : Tensor, optional
            Frames, int64 (B, S) or (1, S): only the states after these are formed.
        latents : bool
            Whether the frames before the context network come along.

        Returns
        -------
        Frames
            c (B, T, C), or (B, S, C); state; z (B, T, D) with `latents`, else None.
        """
        if state or not (self.training and self.ranks.shares(len(tokens_BL))):
            return self._read(tokens_BL, state, at_BS, latents)
        part = self.ranks.part(len(tokens_BL))
        own_at_BS = at_BS if at_BS is None or len(at_BS) == 1 else at_BS[part]
        own = self._read(tokens_BL[part], None, own_at_BS, latents)
        return own._replace(c=self.ranks.whole(own.c), z=None if own.z is None else self.ranks.whole(own.z))

    def _read(self, tokens_BL: Tensor, state: State | None, at_BS: Tensor | None, latents: bool) -> Frames:
        """`forward` in this process."""
        if isinstance(self.front, ConvFront):
            folds = isinstance(self.rnn, nn.RNNBase) and not latents
            z_BTD = None if folds else self.front(tokens_BL)
            if isinstance(self.rnn, nn.RNNBase) and z_BTD is None:
                weight_ih, _, bias_ih, _ = self.rnn.all_weights[0]
                folded = self.front.folded(weight_ih, bias_ih)
                c_BTC, carried = self._recur(self.front.patches(tokens_BL), state, folded)
            else:
                assert z_BTD is not None
                c_BTC, carried = self._context(z_BTD, state)
            empty = c_BTC.new_zeros(len(tokens_BL), 0)
            return Frames(_at(c_BTC, at_BS), State(carried, empty, empty), z_BTD if latents else None)
        counts_BTV, valid_BT1 = self.front.counts(tokens_BL)
        before_BV = state.counts_BV if state else counts_BTV.new_zeros(len(tokens_BL), counts_BTV.shape[2])
        before_B1 = state.valid_B1 if state else valid_BT1.new_zeros(len(tokens_BL), 1)
        z_BTD = self.norm(self.front(counts_BTV, valid_BT1)) if self.rnn or latents else None
        c_BTC: Tensor | None = None
        carried: tuple[Tensor, ...] = ()
        if self.rnn:
            assert z_BTD is not None
            h_BTC, carried = self._context(z_BTD, state)
            c_BTC = self.out(_at(h_BTC, at_BS).to(z_BTD.dtype))
        if self.settings.prefix:
            read_BTV, read_BT1 = before_BV[:, None] + counts_BTV.cumsum(1), before_B1[:, None] + valid_BT1.cumsum(1)
            prefix_BTC = self.level(self.front(_at(read_BTV, at_BS), _at(read_BT1, at_BS)))
            c_BTC = prefix_BTC if c_BTC is None else c_BTC + prefix_BTC
        assert c_BTC is not None
        state = State(carried, before_BV + counts_BTV.sum(1), before_B1 + valid_BT1.sum(1))
        return Frames(c_BTC, state, z_BTD if latents else None)

    def latents(self, tokens_BL: Tensor) -> Tensor:
        """The frames before the context network, z (B, T, D): each sees the bases under it and no others."""
        if not (self.training and self.ranks.shares(len(tokens_BL))):
            return self._latents(tokens_BL)
        return self.ranks.whole(self._latents(tokens_BL[self.ranks.part(len(tokens_BL))]))

    def _latents(self, tokens_BL: Tensor) -> Tensor:
        if isinstance(self.front, ConvFront):
            return self.front(tokens_BL)
        return self.norm(self.front(*self.front.counts(tokens_BL)))

    def _context(self, z_BTD: Tensor, state: State | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The context network over frames, from a state on."""
        if isinstance(self.rnn, CausalConvolutions):
            return self.rnn(z_BTD, state.rnn if state else None)
        assert self.rnn is not None
        weight_ih, _, bias_ih, _ = self.rnn.all_weights[0]
        return self._recur(z_BTD, state, (weight_ih, bias_ih))

    def _recur(
        self, x_BTI: Tensor, state: State | None, weights: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the recurrence with the given input weights and bias (folded or not) and its own recurrent ones."""
        assert isinstance(self.rnn, nn.RNNBase)
        _, weight_hh, _, bias_hh = self.rnn.all_weights[0]
        x_BTI, flat = _one_dtype(x_BTI, [weights[0], weight_hh, weights[1], bias_hh])
        zero = x_BTI.new_zeros(1, len(x_BTI), self.rnn.hidden_size)
        if isinstance(self.rnn, nn.LSTM):
            start = tuple(h.to(x_BTI.dtype) for h in state.rnn) if state else (zero, zero)
            rows = len(x_BTI)
            if x_BTI.dtype == torch.bfloat16 and x_BTI.device.type == "cpu" and (more := _rows(rows) - rows):
                x_BTI, start = F.pad(x_BTI, (0, 0, 0, 0, 0, more)), tuple(F.pad(h, (0, 0, 0, more)) for h in start)
            h_BTC, h, c = torch.lstm(x_BTI, start, flat, True, 1, 0.0, self.training, False, True)
            return h_BTC[:rows].float(), (h[:, :rows], c[:, :rows])
        h_BTC, h = torch.gru(
            x_BTI, state.rnn[0].to(x_BTI.dtype) if state else zero, flat, True, 1, 0.0, self.training, False, True
        )
        return h_BTC.float(), (h,)


class CausalConvolutions(nn.Module):
    """wav2vec's aggregator: convolutions over frames, padded on the left only, with residuals scaled by sqrt(1/2).

    Schneider, Baevski, Collobert, Auli 2019, arXiv 1904.05862, section 3.1; here 3 wide and dilated 1, 2, 4, ..., so
    that `layers` of them see 2 ** (layers + 1) - 1 frames. Norms are over channels only.
    """

    level: nn.Linear
    norms: nn.ModuleList
    layers: nn.ModuleList

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.level = nn.Linear(s.channels, s.context)
        self.norms = nn.ModuleList(nn.LayerNorm(s.context) for _ in range(s.layers))
        self.layers = nn.ModuleList(nn.Conv1d(s.context, s.context, 3, dilation=2**i) for i in range(s.layers))

    def forward(self, z_BTD: Tensor, tails: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Context states (B, T, C), and per layer the last frames that it has read, (B, 2 * dilation, C)."""
        x_BTC, kept = self.level(z_BTD), []
        for i, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            before = tails[i] if tails else x_BTC.new_zeros(len(x_BTC), 2 * 2**i, x_BTC.shape[2])
            read_BTC = torch.cat([before, norm(x_BTC)], 1)
            kept.append(read_BTC[:, -2 * 2**i :])
            x_BTC = (x_BTC + F.gelu(layer(read_BTC.mT).mT)) * 0.5**0.5
        return x_BTC.float(), tuple(kept)


class KmerFront(nn.Module):
    """Counts of the k-mers inside each frame, and the perceptron that reads their standardised frequencies."""

    k: int
    width: int
    stride: int
    V: int
    mlp: nn.Sequential
    index: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.k, self.width, self.stride = s.k, s.width, s.stride
        index, self.V = kinds(s.k, s.canonical)
        # the last entry is where k-mers with an N go, and is cut off after counting
        self.register_buffer("index", torch.cat([torch.from_numpy(index), torch.tensor([self.V])]), persistent=False)
        self.register_buffer("mean", torch.zeros(self.V))
        self.register_buffer("std", torch.ones(self.V))
        self.mlp = nn.Sequential(
            nn.Linear(self.V, s.hidden), nn.GELU(), Dropout(s.dropout), nn.Linear(s.hidden, s.channels)
        )

    def counts(self, tokens_BL: Tensor) -> tuple[Tensor, Tensor]:
        """k-mer counts (B, T, V) of each frame and how many k-mers it has without N (B, T, 1)."""
        codes_BL = codes(tokens_BL, self.k)
        kind_BL = self.index.index_select(0, codes_BL.flatten()).view_as(codes_BL)
        kind_BTK = kind_BL.unfold(1, self.width - self.k + 1, self.stride)
        shape = (*kind_BTK.shape[:2], self.V + 1)
        one = torch.ones((), device=tokens_BL.device).expand(kind_BTK.shape)
        counts_BTV = torch.zeros(shape, device=tokens_BL.device).scatter_add_(2, kind_BTK, one)[..., : self.V]
        return counts_BTV, counts_BTV.sum(2, keepdim=True)

    def forward(self, counts_BTV: Tensor, valid_BT1: Tensor) -> Tensor:
        """Perceptron of the standardised frequencies; where no k-mer is valid they are all average."""
        x_BTV = (counts_BTV / valid_BT1.clamp(min=1) - self.mean) / self.std
        dtype = next(self.mlp.parameters()).dtype  # counts are fp32, in a module of any
        return self.mlp((x_BTV * (valid_BT1 > 0)).to(dtype))

    @torch.no_grad()
    def fit(self, tokens_BL: Tensor) -> None:
        counts_BTV, valid_BT1 = self.counts(tokens_BL)
        used_B = valid_BT1.sum((1, 2)) > 0
        x_BV = counts_BTV.sum(1)[used_B] / valid_BT1.sum(1)[used_B]
        if len(x_BV) > 1:
            self.mean.copy_(x_BV.mean(0))
            # a k-mer that never varied would otherwise be blown up when it first does
            self.std.copy_(x_BV.std(0).clamp(min=0.1 / self.V))


class Dropout(nn.Dropout):
    """Dropout that draws the same for a row, however many processes share the batch."""

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.ranks = ALONE

    def forward(self, x: Tensor) -> Tensor:
        if self.ranks.count == 1 or not (self.training and self.p):
            return super().forward(x)
        return self.ranks.drop(x, self.p)


class ConvFront(nn.Module):
    """Conv1d(4, D, width, stride), valid, with bias and without activation: f of the paper.

    N is the zero vector. MASK is too, or has a fifth channel with `mask`.
    """

    width: int
    stride: int
    weight: nn.Parameter
    bias: nn.Parameter
    one_hot: Tensor

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.width, self.stride = s.width, s.stride
        letters = [0, 1, 2, 3, 5] if s.mask else [0, 1, 2, 3]
        self.weight = nn.Parameter(torch.empty(s.channels, len(letters), s.width))
        self.bias = nn.Parameter(torch.zeros(s.channels))
        self.register_buffer("one_hot", torch.eye(6)[:, letters], persistent=False)

    def patches(self, tokens_BL: Tensor) -> Tensor:
        """One-hot letters under each frame, (B, T, A * width) in the order of the convolution's weights."""
        device = tokens_BL.device.type
        reduced = torch.is_autocast_enabled(device)  # 0 and 1 are exact in any format
        one_hot = self.one_hot.to(torch.get_autocast_dtype(device)) if reduced else self.one_hot
        x_BLA = F.embedding(tokens_BL.int(), one_hot)
        return x_BLA.unfold(1, self.width, self.stride).flatten(2)

    def folded(self, weight_ih: Tensor, bias_ih: Tensor) -> tuple[Tensor, Tensor]:
        """The recurrence's input weights and bias as a function of patches instead of channels."""
        return weight_ih @ self.weight.flatten(1), weight_ih @ self.bias + bias_ih

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """The convolution's own output (B, T, D), for whoever needs the channels themselves."""
        return F.linear(self.patches(tokens_BL), self.weight.flatten(1), self.bias)


def encoder_device(name: str) -> torch.device:
    """The device of that name; auto is cuda, else mps, else cpu. Raises InputError where it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is unknown; expected auto, cpu, cuda, cuda:N or mps") from None
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if not there.get(device.type, lambda: False)():
        raise InputError(f"device {name}: this machine or this build of torch ({torch.__version__}) has none")
    return device


def _at(x_BTC: Tensor, at_BS: Tensor | None) -> Tensor:
    """The frames asked for, or all of them."""
    if at_BS is None:
        return x_BTC
    if len(at_BS) == 1:
        return x_BTC.index_select(1, at_BS[0])
    return x_BTC[torch.arange(len(x_BTC), device=x_BTC.device)[:, None], at_BS]


def _rows(rows: int) -> int:
    """How many rows oneDNN is to be given in bf16: alone a row is rounded otherwise than among others, and many rows
    take up to four times as long where their number has no small factors (127, 131, 262).
    """
    return 2 if rows == 1 else rows if rows < 64 else -(-rows // 16) * 16


def _one_dtype(x: Tensor, weights: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Under autocast the recurrence runs in the reduced precision as a whole: inputs, weights and state."""
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return x, weights
    dtype = torch.get_autocast_dtype(device)
    return x.to(dtype), [w.to(dtype) for w in weights]


def _keras_initialisation(front: ConvFront, rnn: nn.Module | None) -> None:
    """The defaults that the paper's networks were initialised with."""
    channels, letters, receptive = front.weight.shape
    bound = math.sqrt(6 / (receptive * (letters + channels)))
    nn.init.uniform_(front.weight, -bound, bound)
    if not isinstance(rnn, nn.RNNBase):
        return
    weight_ih, weight_hh, bias_ih, bias_hh = rnn.all_weights[0]
    nn.init.xavier_uniform_(weight_ih)
    nn.init.orthogonal_(weight_hh)
    nn.init.zeros_(bias_ih)
    nn.init.zeros_(bias_hh)
    if isinstance(rnn, nn.LSTM):
        with torch.no_grad():
            bias_ih[rnn.hidden_size : 2 * rnn.hidden_size] = 1  # forget gate
