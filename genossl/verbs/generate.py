"""Run of causal_lm to DNA: bases drawn one after another, each from what the model expects after those before it."""

# B sequences, L bases, K bases kept

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from genossl import files
from genossl.errors import InputError
from genossl.genome.alphabet import N, decode, encode
from genossl.genome.windows import generator
from genossl.methods.causal_lm import CausalLM
from genossl.model import checkpoint
from genossl.model.encoder import encoder_device
from genossl.recipe import load_method

ROWS = 64  # sequences made at once, always as many, so that a sequence does not depend on how many others there are
LINE = 80  # letters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What to draw, and how."""

    n: int = 10  # sequences
    length: int = 1000  # bases of each, after the prompt
    prompt: str = ""  # letters that every sequence begins with
    temperature: float = 1.0  # divides the log-probabilities; 0: the likeliest base always
    top_k: int = 0  # draw among the k likeliest bases; 0: all
    top_p: float = 1.0  # draw among the likeliest bases that together have this probability, the last one included
    seed: int = 0  # sequence i is drawn by (seed, i)

    def __post_init__(self) -> None:
        if min(self.n, self.length) < 1:
            raise ValueError("n and length must be at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError("temperature must be at least 0")
        if not 0 <= self.top_k <= 4:
            raise ValueError("top_k must be from 0 to 4")
        if not 0 < self.top_p <= 1:
            raise ValueError("top_p must be greater than 0 and at most 1")
        if self.seed < 0:
            raise ValueError("seed must not be negative")
        unknown = [letter for letter in self.prompt if encode(letter)[0] == N]
        if unknown:
            raise ValueError(f"prompt must hold the letters A, C, G and T, found {unknown[0]!r}")


def run(run_folder: str | Path, out: str | Path, settings: Settings, device: str = "auto", threads: int = 0) -> int:
    """Write sequences as FASTA to `out` ("-": standard output); returns their number. Raises InputError."""
    if threads:
        torch.set_num_threads(threads)
    model = load_method(run_folder, str(encoder_device(device)))
    if not isinstance(model, CausalLM):
        raise InputError(f"{run_folder}: is of {checkpoint.describe(run_folder)['method']}; expected causal_lm")
    s = settings
    how = f"seed={s.seed} temperature={s.temperature:g} top_k={s.top_k} top_p={s.top_p:g} prompt={len(s.prompt)}"
    with files.text(out) as stream:
        for i, tokens_L in enumerate(sequences(model, settings)):
            letters = decode(tokens_L)
            lines = "".join(letters[at : at + LINE] + "\n" for at in range(0, len(letters), LINE))
            stream.write(f">generated_{i} {how}\n{lines}")
    weights = checkpoint.encoder_folder(run_folder)
    used = {"encoder": weights / "encoder.safetensors", "heads": weights / "heads.safetensors"}
    given = {"run": run_folder, "out": out, "device": device, "threads": threads}
    files.write_provenance(out, "generate", s, used, s.seed, given)
    return s.n


def sequences(model: CausalLM, settings: Settings) -> Iterator[np.ndarray]:
    """Prompt and drawn bases, uint8 (P + length,), one sequence after another."""
    s = settings
    prompt_L = encode(s.prompt)
    with files.progress(desc="generate", unit="base", total=-(-s.n // ROWS) * s.length) as bar:
        for first in range(0, s.n, ROWS):
            uniform_BL = np.stack([generator(s.seed, i).random(s.length) for i in range(first, first + ROWS)])
            drawn_BL = np.empty((ROWS, s.length), np.uint8)
            for at, log_p_B4 in enumerate(_expected(model, prompt_L, drawn_BL)):
                p_B4 = distribution(log_p_B4, s.temperature, s.top_k, s.top_p)
                drawn_BL[:, at] = choose(p_B4, uniform_BL[:, at])
                bar.update(1)
            for row_L in drawn_BL[: s.n - first]:
                yield np.concatenate([prompt_L, row_L])


def _expected(model: CausalLM, prompt_L: np.ndarray, drawn_BL: np.ndarray) -> Iterator[np.ndarray]:
    """Log-probabilities (B, 4) of each base after the prompt; before the next is asked for, `drawn_BL` holds it.

    The encoder's state is carried on, so a base costs one step however many there are before it.
    """
    device = next(model.parameters()).device
    read_BL = torch.from_numpy(np.tile(prompt_L, (len(drawn_BL), 1)))
    none_BW = torch.full((len(drawn_BL), model.encoder.width), N, dtype=torch.uint8)
    read_BL, state = torch.cat([none_BW, read_BL], 1), None
    for at in range(drawn_BL.shape[1]):
        with torch.inference_mode():
            log_p_BL4, state = model.following(read_BL.to(device), state)
        yield log_p_BL4[:, -1].double().cpu().numpy()
        read_BL = torch.cat([read_BL, torch.from_numpy(drawn_BL[:, at : at + 1])], 1)[:, -model.encoder.width :]


def distribution(log_p_B4: np.ndarray, temperature: float, top_k: int = 0, top_p: float = 1.0) -> np.ndarray:
    """Probabilities to draw from, (B, 4): temperature first, then top_k, then top_p (Holtzman et al. 2020, 1904.09751).

    Of bases that are equally likely the first in ACGT is kept first.
    """
    order_B4 = np.argsort(-log_p_B4, 1, kind="stable")
    scaled_B4 = np.take_along_axis(log_p_B4, order_B4, 1) / temperature if temperature else np.zeros_like(log_p_B4)
    p_B4 = np.exp(scaled_B4 - scaled_B4[:, :1])
    p_B4[:, (1 if temperature == 0 else top_k or 4) :] = 0
    p_B4 /= p_B4.sum(1, keepdims=True)
    before_B4 = p_B4.cumsum(1) - p_B4
    p_B4[before_B4 >= top_p] = 0
    kept_B4 = np.zeros_like(p_B4)
    np.put_along_axis(kept_B4, order_B4, p_B4 / p_B4.sum(1, keepdims=True), 1)
    return kept_B4


def choose(p_B4: np.ndarray, uniform_B: np.ndarray) -> np.ndarray:
    """A base for each row, uint8 (B,), by where a number from [0, 1) falls; one of probability 0 is never chosen."""
    until_B4 = p_B4.cumsum(1)
    return (uniform_B[:, None] * until_B4[:, 3:] >= until_B4[:, :3]).sum(1).astype(np.uint8)
