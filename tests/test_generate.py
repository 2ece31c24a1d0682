"""The verb generate: letters follow the model's own probabilities, and a seed says which."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from genossl import cli
from genossl.config import build
from genossl.errors import InputError
from genossl.genome import fasta
from genossl.genome.alphabet import decode, encode
from genossl.methods.causal_lm import CausalLM
from genossl.recipe import load_method
from genossl.verbs import generate, pretrain
from genossl.verbs.generate import Settings, choose, distribution, sequences

LM = {
    "name": "causal_lm",
    "pretrain": {"steps": 2, "batch": 4, "precision": "fp32", "validate_every": 0},
    "encoder": {"width": 4, "channels": 8, "context": 12},
    "causal_lm": {"length": 60, "hidden": 8},
}


@pytest.fixture(scope="session")
def lm_run(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of causal_lm of two steps; read it, do not write into it."""
    out = tmp_path_factory.mktemp("lm") / "run"
    pretrain.run(tiny_store, out, LM, pretrain.Jobs(device="cpu"))
    return out


@pytest.fixture
def model(lm_run: Path) -> CausalLM:
    """Its distributions made sharp, so that a wrong one shows."""
    found = load_method(lm_run)
    assert isinstance(found, CausalLM)
    with torch.no_grad():
        found.head[2].weight.mul_(20)
    return found


def letters(model: CausalLM, **settings) -> list[str]:
    return [decode(tokens) for tokens in sequences(model, Settings(**settings))]


@torch.inference_mode()
def after(model: CausalLM, text: str) -> np.ndarray:
    """Probabilities (4,) of the base after a text, by reading all of it again."""
    tokens = torch.from_numpy(np.append(encode(text), 0).astype(np.uint8))[None]
    p = model.log_probabilities(tokens)[0, -1].double().exp().numpy()
    return p / p.sum()


def test_temperature_0_is_the_likeliest_base_each_time(model):
    """A slow loop that carries nothing on."""
    for prompt in ("", "A", "GATTACAGATTACA"):
        text = prompt
        for _ in range(40):
            text += "ACGT"[after(model, text).argmax()]
        assert letters(model, n=3, length=40, prompt=prompt, temperature=0) == [text] * 3


def test_a_sequence_depends_on_the_seed_and_its_number_alone(model):
    many = letters(model, n=generate.ROWS + 6, length=50, seed=3)
    assert len(set(many)) == generate.ROWS + 6
    assert letters(model, n=2, length=50, seed=3) == many[:2]
    assert not set(letters(model, n=10, length=50, seed=4)) & set(many)


def test_a_longer_sequence_begins_with_the_shorter_one(model):
    short, long = letters(model, n=5, length=20), letters(model, n=5, length=30)
    assert [text[:20] for text in long] == short


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_first_2_mers_come_as_often_as_the_model_says(model, temperature):
    n = 2048
    found = letters(model, n=n, length=2, temperature=temperature, prompt="GAT")

    def p(text: str) -> np.ndarray:
        weights = after(model, text) ** (1 / temperature)
        return weights / weights.sum()

    words = ["".join(word) for word in itertools.product("ACGT", repeat=2)]
    expected = np.array([p("GAT")["ACGT".index(a)] * p(f"GAT{a}")["ACGT".index(b)] for a, b in words])
    counts = np.array([found.count(f"GAT{word}") for word in words])
    assert expected.max() > 1.5 / 16
    assert counts.sum() == n
    assert stats.chisquare(counts, n * expected).pvalue > 1e-3


def test_a_prompt_is_kept_and_conditions(model):
    found = {prompt: letters(model, n=512, length=1, prompt=prompt) for prompt in ("AAAAAA", "cgcgcu")}
    assert all(text[:-1] == prompt.upper().replace("U", "T") for prompt, of in found.items() for text in of)
    first, second = ([text[-1] for text in of] for of in found.values())
    p, q = after(model, "AAAAAA"), after(model, "CGCGCT")
    assert np.abs(p - q).max() > 0.15
    for drawn, expected in ((first, p), (second, q)):
        counts = np.array([drawn.count(base) for base in "ACGT"])
        assert stats.chisquare(counts, 512 * expected).pvalue > 1e-3


LOG_P = np.log([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25]])


@pytest.mark.parametrize(
    "settings,expected",
    [
        ({"temperature": 1}, [[0.1, 0.4, 0.2, 0.3], [0.25] * 4]),
        ({"temperature": 0}, [[0, 1, 0, 0], [1, 0, 0, 0]]),
        ({"temperature": 0.5}, [[1 / 30, 16 / 30, 4 / 30, 9 / 30], [0.25] * 4]),
        ({"temperature": 1, "top_k": 1}, [[0, 1, 0, 0], [1, 0, 0, 0]]),
        ({"temperature": 1, "top_k": 2}, [[0, 4 / 7, 0, 3 / 7], [0.5, 0.5, 0, 0]]),
        ({"temperature": 1, "top_k": 4}, [[0.1, 0.4, 0.2, 0.3], [0.25] * 4]),
        ({"temperature": 1, "top_p": 1e-9}, [[0, 1, 0, 0], [1, 0, 0, 0]]),
        ({"temperature": 1, "top_p": 0.6}, [[0, 4 / 7, 0, 3 / 7], [1 / 3] * 3 + [0]]),
        ({"temperature": 1, "top_p": 0.75}, [[0, 4 / 9, 2 / 9, 3 / 9], [1 / 3] * 3 + [0]]),
        ({"temperature": 0.5, "top_p": 0.6}, [[0, 16 / 25, 0, 9 / 25], [1 / 3] * 3 + [0]]),
        ({"temperature": 1, "top_k": 3, "top_p": 0.5}, [[0, 4 / 7, 0, 3 / 7], [0.5, 0.5, 0, 0]]),
    ],
)
def test_what_is_drawn_among(settings, expected):
    np.testing.assert_allclose(distribution(LOG_P, **settings), expected, atol=1e-12)


def test_a_base_of_probability_0_is_never_chosen():
    p = np.array([[0, 0.3, 0, 0.7], [0.6, 0.4, 0, 0], [0, 0, 1, 0]]).repeat(4, 0)
    edges = np.tile([0.0, 1 - 2**-53, 0.3, 0.6], 3)
    assert choose(p, edges).tolist() == [1, 3, 3, 3, 0, 1, 0, 1, 2, 2, 2, 2]


def test_top_k_and_top_p_restrict_what_is_seen(model):
    for kept in ({"top_k": 2}, {"top_p": 0.5}):
        seen = {text[-1] for text in letters(model, n=512, length=1, prompt="GAT", **kept)}
        assert seen == {"ACGT"[i] for i in np.flatnonzero(distribution(np.log(after(model, "GAT"))[None], 1.0, **kept))}
        assert len(seen) < 4


def test_fasta_and_what_made_it(lm_run, tmp_path, capsys, again):
    settings = Settings(n=3, length=170, prompt="ACGT", temperature=0.9, top_k=3, top_p=0.95, seed=7)
    assert generate.run(lm_run, tmp_path / "deep" / "x.fa", settings, "cpu") == 3
    text = (tmp_path / "deep" / "x.fa").read_text()
    assert text.startswith(">generated_0 seed=7 temperature=0.9 top_k=3 top_p=0.95 prompt=4\nACGT")
    assert max(map(len, text.split("\n"))) == 80
    found = load_method(lm_run)
    assert isinstance(found, CausalLM)
    assert [decode(r.tokens) for r in fasta.records(tmp_path / "deep" / "x.fa")] == [
        decode(tokens) for tokens in sequences(found, settings)
    ]
    record = json.loads((tmp_path / "deep" / "x.fa.provenance.json").read_text())
    assert (record["verb"], record["seed"], record["settings"]["top_k"]) == ("generate", 7, 3)
    assert {"encoder", "heads"} == set(record["inputs"])
    assert again(tmp_path / "deep" / "x.fa") == []
    generate.run(lm_run, "-", settings, "cpu")
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    "wrong,message",
    [
        ({"prompt": "ACNGT"}, "generate: prompt must hold the letters A, C, G and T, found 'N'"),
        ({"prompt": "AC é"}, "found ' '"),
        ({"temperature": -1}, "temperature must be at least 0"),
        ({"temperature": float("nan")}, "temperature: expected finite numbers, found nan"),
        ({"top_p": 0}, "top_p must be greater than 0 and at most 1"),
        ({"top_p": 1.1}, "top_p must be greater than 0 and at most 1"),
        ({"top_k": 5}, "top_k must be from 0 to 4"),
        ({"n": 0}, "n and length must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_settings_that_make_no_sense(wrong, message):
    with pytest.raises(InputError, match=message):
        build(Settings, wrong, "generate")


def test_a_run_of_another_method_is_refused(tiny_run, tmp_path):
    with pytest.raises(InputError, match="is of self_genomenet"):
        generate.run(tiny_run, tmp_path / "x.fa", Settings(), "cpu")
    assert not (tmp_path / "x.fa").exists()


def test_the_command_line(lm_run, tmp_path, monkeypatch, capsys):
    """Its defaults are those of the settings; a mistake is one line and exit 2."""
    shown = {p.name: p.default for p in cli.cli.commands["generate"].params}
    assert {name: shown[name] for name in Settings.__dataclass_fields__} == vars(Settings())

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["genossl", "generate", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return (end.value.code, *capsys.readouterr())

    out = tmp_path / "x.fa"
    code, said, _ = call(lm_run, "--out", out, "--n", 2, "--length", 5, "--device", "cpu")
    assert (code, said) == (0, f"{out}: 2 sequences\n")
    code, said, _ = call(lm_run, "--out", "-", "--n", 2, "--length", 5, "--device", "cpu")
    assert (code, said) == (0, out.read_text())
    code, said, wrong = call(lm_run, "--out", out, "--top-p", 2)
    assert (code, said) == (2, "")
    assert wrong.count("\n") == 1
    assert "top_p must be greater than 0" in wrong
