"""Encoders to and from others in Python: folders, and the hub by its own library against a server on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hub as local_hub
import numpy as np
import pytest

import genossl
from genossl.model import checkpoint
from genossl.sharing import hub


def test_an_encoder_alone_tells_its_shape_and_that_it_knows_no_more(tiny_run: Path, tmp_path: Path) -> None:
    encoder = genossl.load_encoder(tiny_run, device="cpu")
    out = genossl.save_pretrained(encoder, tmp_path / "mine", title="Mine")
    card = (out / "README.md").read_text()
    assert "of which nothing else is known" in card
    assert "How the weights were trained is not known." in card
    assert "Genomes: not known." in card
    assert checkpoint.describe(out)["settings"] == checkpoint.describe(tiny_run)["settings"]
    found = genossl.from_pretrained(out, device="cpu")
    np.testing.assert_array_equal(genossl.embed(found, ["ACGT" * 20]), genossl.embed(encoder, ["ACGT" * 20]))


IN_A_PROCESS_OF_ITS_OWN = """
import sys
import genossl

def told(call, *arguments, **options):
    try:
        found = call(*arguments, **options)
        print(getattr(found, "channels", found))
    except genossl.InputError as error:
        print(error)

exec(sys.argv[1])
"""


def answers(code: str, tmp_path: Path, **environment: str) -> list[str]:
    """What a script prints with huggingface_hub as users have it, which reads its settings when it is imported."""
    home = {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_of_the_test", "HF_HUB_DISABLE_XET": "1"}
    words = [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, code]
    done = subprocess.run(words, env={**os.environ, **home, **environment}, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_to_the_hub_and_back(tiny_run: Path, tmp_path: Path) -> None:
    code = f"""
told(genossl.save_pretrained, {str(tiny_run)!r}, {str(tmp_path / "out")!r}, licence="MIT", push_to_hub="user/model")
told(genossl.from_pretrained, "user/model", device="cpu")
told(genossl.from_pretrained, "user/model", revision="v2")
told(genossl.load_encoder, "hf://user/model@main", device="cpu")
told(genossl.GenomeEmbedder("hf://user/none").fit)
"""
    with local_hub.running() as server:
        found = answers(code, tmp_path, HF_ENDPOINT=server.address)
    assert found[0] == str(tmp_path / "out")
    assert found[1] == found[3] == "8"
    assert found[2].startswith("hf://user/model: RevisionNotFoundError (404")
    assert found[4].startswith("hf://user/none: RepositoryNotFoundError (404")
    uploaded = server.models["user/model"]
    assert uploaded == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert not [asked for asked in server.requests if asked.endswith("README.md")]  # only what is loaded is asked for

    # and without a connection: what was downloaded is still there, and what was not is a sentence
    code = 'told(genossl.from_pretrained, "user/model", device="cpu"); told(genossl.from_pretrained, "user/other")'
    found = answers(code, tmp_path, HF_HUB_OFFLINE="1")
    assert found[0] == "8"
    assert found[1].startswith("hf://user/other: ")


def test_no_other_name_asks_the_hub(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_library", lambda name: pytest.fail(f"asked for {name}"))
    genossl.load_encoder(tiny_run, device="cpu")
    genossl.from_pretrained(tiny_run, device="cpu")
    genossl.save_pretrained(tiny_run, tmp_path / "out")
    for name in ("user/model", tmp_path / "none"):
        with pytest.raises(genossl.InputError, match="no such folder"):
            genossl.load_encoder(name)
    for name in (tmp_path / "none", "results/runs/none", "./none"):
        with pytest.raises(genossl.InputError, match="no such folder"):
            genossl.from_pretrained(name)
    for name in ("hf://model", "hf://a/b/c", "hf://../.."):
        with pytest.raises(genossl.InputError, match="expected hf://user/name"):
            genossl.load_encoder(name)


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(genossl.InputError, match=r"needs huggingface_hub; pip install 'genossl\[hub\]'"):
        genossl.from_pretrained("user/model")
