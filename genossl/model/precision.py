"""Which floating-point format the products of a network are formed in: fp32, or bf16 where the hardware is made for it.

Weights, sums and losses are fp32 in either case; bf16 rounds the factors of matrix products to 8 bits of mantissa.
"""

from __future__ import annotations

import functools
import time
from typing import Literal, get_args

import torch

from genossl.errors import InputError

Product = Literal["fp32", "bf16"]
Precision = Literal["auto", "fp32", "bf16"]
PAYS_FROM = 1.5  # times that bf16 must be as fast as fp32 to be chosen; made for it 2 to 8, emulated at most 0.6


def chosen(precision: Precision, device: torch.device) -> Product:
    """What `auto` means on a device; InputError for what is none of them, and for bf16 where there is none (mps)."""
    if precision not in get_args(Precision):
        raise InputError(f"precision {precision!r} is unknown; expected {', '.join(get_args(Precision))}")
    if precision == "bf16" and device.type == "mps":
        raise InputError("precision bf16: is not available on mps; use fp32")
    if precision != "auto":
        return precision
    return "bf16" if _pays(device.type) else "fp32"


def autocast(precision: Product, device: torch.device) -> torch.autocast:
    """The context in which products are formed in that format."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@functools.cache
def _pays(device: str) -> bool:
    """Whether bf16 is the faster: known of GPUs, measured on CPUs, whose flags do not tell (some only emulate it)."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for each other where others use the cores too, and that is measured as work
    try:
        return _seconds(torch.float32) > PAYS_FROM * _seconds(torch.bfloat16)
    finally:
        torch.set_num_threads(threads)


def _seconds(dtype: torch.dtype) -> float:
    """Processor time on one thread of one product such as a recurrence forms, the shortest of some."""
    one, two = torch.ones(128, 512, dtype=dtype), torch.ones(512, 1024, dtype=dtype)
    shortest = float("inf")
    for _ in range(8):
        started = time.process_time()
        torch.matmul(one, two)
        shortest = min(shortest, time.process_time() - started)
    return shortest
