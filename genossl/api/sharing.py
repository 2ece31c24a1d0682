"""Encoders to and from others: a folder, or a model of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from genossl.api.embedding import load_encoder
from genossl.model.encoder import Encoder
from genossl.sharing import folder, hub


def from_pretrained(name: str | Path, revision: str | None = None, device: str = "auto") -> Encoder:
    """Load an encoder that was shared: a folder where there is one of that name, else a model of the hub.

    Parameters
    ----------
    name : str or Path
        A folder, or "user/name" on the Hugging Face hub.
    revision : str, optional
        Branch, tag or commit on the hub.
    device : str
        As of `load_encoder`.

    Returns
    -------
    Encoder
        In eval mode. Only encoder.json and safetensors are downloaded; no code is run.

    Raises
    ------
    InputError
        As `load_encoder` does, and where the hub does not give the model.

    Examples
    --------
    >>> genossl.from_pretrained(run, device="cpu").channels
    8
    """
    if isinstance(name, str) and hub.ID.fullmatch(name) and not Path(name).exists():
        return load_encoder(hub.download(name, revision), device)
    return load_encoder(name, device)


def save_pretrained(
    source: Encoder | str | Path, out: str | Path, *, title: str = "", licence: str = "",
    results: str | Path | None = None, push_to_hub: str = "", private: bool | None = None,
) -> Path:  # fmt: skip
    """Write an encoder as a folder for others: safetensors, encoder.json and a model card; with a name, to the hub too.

    Parameters
    ----------
    source : Encoder, str or Path
        A run's folder, of which the card can tell data, settings and checksums; or an encoder, of which it tells the
        shape and says that the rest is not known.
    out : str or Path
        The folder; an older one of the kind is replaced.
    title : str
        Of the card; the folder's name if not given.
    licence : str
        Under which others may use it, such as "MIT".
    results : str or Path, optional
        A results folder; its scores of these very weights go into the card, each with its verdict.
    push_to_hub : str
        "user/name" on the Hugging Face hub, where it is uploaded as the user whom `hf auth login` has stored.
    private : bool, optional
        Whether a repository that is made for it is private.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        For what is no run, results without a score of it, a folder that holds something else, or a hub that refuses.

    Examples
    --------
    >>> folder = genossl.save_pretrained(run, tmp / "shared", licence="MIT")
    >>> sorted(path.name for path in folder.iterdir())
    ['README.md', 'encoder.json', 'encoder.safetensors']
    """
    folder.write(source, out, title=title, licence=licence, results=results)
    if push_to_hub:
        hub.upload(Path(out), push_to_hub, private)
    return Path(out)
