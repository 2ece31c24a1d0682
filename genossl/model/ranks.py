"""Several processes, started by torchrun, that take the steps which one process would take.

Every rank draws the same global batch. What happens next depends on what a method lets meet in its loss:

* rows that meet only within groups (`Method.together`): each rank takes its own groups through the whole method, and
  only gradients travel;
* all others: the encoder, where the work is, reads a rank's part of the rows and then gives every rank all of them, so
  that heads and losses see the global batch, whatever they do with it.

In either case the mean of the ranks' gradients is the gradient of the global batch.
"""

from __future__ import annotations

import atexit
import dataclasses
import io
import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed, nn

from genossl.errors import InputError


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1
    windows: int = 0  # of the global batch, where each rank takes its own through the method; 0: the encoder's part

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """This rank's rows of n, a multiple of `count`."""
        each = n // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def shares(self, n: int) -> bool:
        """Whether the encoder reads a part of n rows here and gathers the rest; ValueError where it cannot."""
        if self.count == 1 or self.windows:
            return False
        if n % self.count:
            raise ValueError(f"a method gives its encoder {n} rows, which {self.count} ranks cannot share evenly")
        return True

    def whole(self, part: Tensor) -> Tensor:
        """All ranks' parts, in order of their ranks, on every rank."""
        return _Whole.apply(part, self)

    def drop(self, x: Tensor, p: float) -> Tensor:
        """Dropout of this rank's part, (rows, ...), as one process would draw it for all rows."""
        ones = x.new_ones(len(x) * self.count, *x.shape[1:])
        noise = nn.functional.dropout(ones, p, True)
        if self.windows:  # the rows are views of windows, one view after the other
            noise = noise.unflatten(0, (-1, self.windows))[:, self.part(self.windows)].flatten(0, 1)
        else:
            noise = noise[self.part(len(noise))]
        return x * noise

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over ranks into each of them."""
        tensors = list(tensors)
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        for tensor, mean in zip(tensors, (flat / self.count).split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        if self.count == 1:
            return flag
        flags = torch.tensor([float(flag)])
        distributed.all_reduce(flags)
        return bool(flags.item())

    def from_first(self, value: Any) -> Any:
        """What the first rank has, of the kinds that torch.load reads without running code."""
        if self.count == 1:
            return value
        stream = io.BytesIO()
        torch.save(value if self.first else None, stream)
        size = torch.tensor([stream.tell()])
        distributed.broadcast(size, 0)
        raw = torch.zeros(int(size), dtype=torch.uint8)
        if self.first:
            raw.copy_(torch.frombuffer(stream.getbuffer(), dtype=torch.uint8))
        distributed.broadcast(raw, 0)
        return torch.load(io.BytesIO(raw.numpy().tobytes()), map_location="cpu", weights_only=True)


ALONE = Ranks()
SAID = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # by torchrun to each process, beside WORLD_SIZE


def started() -> Ranks:
    """The ranks that torchrun has started, joined; one alone where it has not. InputError where it cannot be told."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    if missing := [name for name in SAID if name not in os.environ]:
        raise InputError(f"WORLD_SIZE is {count}, but {missing[0]} is not set; use torchrun, or unset WORLD_SIZE")
    if not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(distributed.destroy_process_group)  # else its threads may abort a process that has ended well
    return Ranks(distributed.get_rank(), count)


class _Whole(torch.autograd.Function):
    """All-gather along the rows. Every rank goes on to form the same loss, so a gradient is at hand without asking."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(ranks.count)]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # times the count, because the ranks' gradients are averaged and the others' say nothing about these rows
        return gradient[ctx.ranks.part(len(gradient))] * ctx.ranks.count, None
