"""Too little memory, said with what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genossl.errors import InputError


@contextmanager
def lowering(what: str, device: object = "cpu") -> Iterator[None]:
    """An allocation that fails within is an InputError that names `what` to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # the processor's allocator raises a plain RuntimeError
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "can't allocate memory" not in str(error):
            raise
        raise InputError(f"out of memory on {device}; lower {what}") from error
