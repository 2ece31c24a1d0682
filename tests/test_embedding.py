"""Embeddings do not depend on what else is embedded, nor on how a sequence is cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genossl.genome.alphabet import N, reverse_complement
from genossl.model import embedding, precision
from genossl.model.embedding import embed
from genossl.model.encoder import Encoder, Settings

ENCODERS = {
    "kmer gru": dict(front="kmer", k=3, width=20, stride=20, hidden=16, channels=8, rnn="gru", context=8),
    "kmer overlapping lstm": dict(k=4, width=30, stride=10, hidden=16, channels=8, rnn="lstm", context=10),
    "kmer mlp": dict(front="kmer", k=3, width=20, stride=20, hidden=16, channels=8, rnn="none", context=8),
    "conv lstm": dict(front="conv", width=24, stride=6, channels=16, rnn="lstm", context=8),
}
TOLERANCE = dict(rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module", params=ENCODERS, ids=list(ENCODERS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    torch.manual_seed(0)
    made = Encoder(Settings(**ENCODERS[request.param]))
    made.fit_statistics(torch.randint(0, 4, (64, 120), dtype=torch.uint8))
    return made  # in training mode: embedding must not care


@pytest.fixture(scope="module")
def sequences() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = [1, 5, 19, 20, 24, 31, 100, 100, 257, 400, 33]
    return [rng.choice(5, n, p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8) for n in lengths]


def direct(encoder: Encoder, tokens: np.ndarray, pool: str) -> np.ndarray:
    """One strand, one sequence, no batch."""
    filled = np.pad(tokens, (0, max(0, encoder.width - len(tokens))), constant_values=N)
    with torch.inference_mode():
        c_TC = encoder.eval()(torch.from_numpy(filled)[None]).c[0].numpy()
    parts = {"last": [c_TC[-1]], "mean": [c_TC.mean(0)], "both": [c_TC[-1], c_TC.mean(0)]}[pool]
    return np.concatenate(parts)


@pytest.mark.parametrize("both_strands", [False, True])
@pytest.mark.parametrize("pool", ["last", "mean", "both"])
def test_equals_reading_each_sequence_alone(encoder, sequences, pool, both_strands) -> None:
    expected = np.array([direct(encoder, s, pool) for s in sequences])
    if both_strands:
        expected = (expected + np.array([direct(encoder, reverse_complement(s), pool) for s in sequences])) / 2
    found = embed(encoder, sequences, pool, both_strands, "fp32")
    assert found.dtype == np.float32
    assert found.shape == (len(sequences), encoder.channels * (2 if pool == "both" else 1))
    np.testing.assert_allclose(found, expected, **TOLERANCE)


def test_order_and_neighbours_do_not_matter(encoder, sequences, monkeypatch) -> None:
    together = embed(encoder, sequences, "both")
    order = np.random.default_rng(1).permutation(len(sequences))
    np.testing.assert_allclose(embed(encoder, [sequences[i] for i in order], "both"), together[order], **TOLERANCE)
    for bases in (1, 300):
        monkeypatch.setitem(embedding.BATCH_BASES, "cpu", bases)
        np.testing.assert_allclose(embed(encoder, sequences, "both"), together, **TOLERANCE)


def test_the_strand_does_not_matter(encoder, sequences) -> None:
    other = [reverse_complement(s) for s in sequences]
    np.testing.assert_allclose(embed(encoder, other, "both"), embed(encoder, sequences, "both"), **TOLERANCE)
    if encoder.settings.rnn != "none":
        assert not np.allclose(embed(encoder, other, "last", False), embed(encoder, sequences, "last", False))


@pytest.mark.parametrize("block", [1, 50, 137, 399])
def test_cuts_of_a_long_sequence_are_invisible(encoder, sequences, block, monkeypatch) -> None:
    whole = embed(encoder, sequences, "both")
    read = []

    def watched(tokens: torch.Tensor, state=None):
        read.append(tokens.shape[1])
        return Encoder.forward(encoder, tokens, state)

    monkeypatch.setattr(embedding, "BLOCK", block)
    monkeypatch.setattr(encoder, "forward", watched)
    np.testing.assert_allclose(embed(encoder, sequences, "both"), whole, **TOLERANCE)
    assert max(read) <= max(block, encoder.stride) + encoder.width, "more than a block was read at once"


def test_bf16_is_chosen_only_where_the_batch_does_not_matter(monkeypatch) -> None:
    """Of what the hardware can: an LSTM over a convolution. Anything else asks for it by name."""
    monkeypatch.setattr(precision, "_pays", lambda device: True)
    made = {name: Encoder(Settings(**shape)) for name, shape in ENCODERS.items()}
    assert {name: embedding.product(encoder) for name, encoder in made.items()} == {
        name: "bf16" if name == "conv lstm" else "fp32" for name in ENCODERS
    }
    assert {embedding.product(encoder, "bf16") for encoder in made.values()} == {"bf16"}
    monkeypatch.setattr(precision, "_pays", lambda device: False)
    assert {embedding.product(encoder) for encoder in made.values()} == {"fp32"}


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_fp32_is_not_rounded_by_cudnn(encoder, sequences, monkeypatch, asked) -> None:
    """TF32, which it may choose by the shape of a batch, is off meanwhile, and as it was afterwards."""
    seen = []
    plain = embedding.read
    monkeypatch.setattr(embedding, "read", lambda *a: seen.append(torch.backends.cudnn.allow_tf32) or plain(*a))
    for before in (True, False):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
        embed(encoder, sequences, precision=asked)
        assert torch.backends.cudnn.allow_tf32 is before
        assert set(seen) == {before and asked == "bf16"}
        seen.clear()


@pytest.mark.parametrize("context", [96, 100, 256])
def test_states_in_bf16_are_those_of_any_batch_and_cut(context) -> None:
    """At sizes where a row alone came out otherwise; the equality is of every bit."""
    if precision.chosen("auto", torch.device("cpu")) != "bf16":
        pytest.skip("this processor is not faster in bf16, so embed does not choose it")
    torch.manual_seed(0)
    encoder = Encoder(Settings(front="conv", width=24, stride=6, channels=64, rnn="lstm", context=context))
    tokens = list(np.random.default_rng(0).integers(0, 4, (40, 400)).astype(np.uint8))
    whole = embed(encoder, tokens)
    for rows in (1, 2, 7):
        apart = [embed(encoder, tokens[i : i + rows]) for i in range(0, len(tokens), rows)]
        np.testing.assert_array_equal(np.concatenate(apart), whole)
    in_fp32 = embed(encoder, tokens, precision="fp32")
    error = np.linalg.norm(whole - in_fp32) / np.linalg.norm(in_fp32)
    assert 1e-5 < error < 0.02  # it is bf16, and near


def test_no_sequence_is_no_row(encoder) -> None:
    assert embed(encoder, [], "both").shape == (0, 2 * encoder.channels)


def test_the_inputs_stay_what_they_were(encoder, sequences) -> None:
    before = [s.copy() for s in sequences]
    embed(encoder, sequences)
    assert all(np.array_equal(a, b) for a, b in zip(before, sequences, strict=True))


def test_bases_behind_the_last_frame_are_not_read(encoder) -> None:
    tokens = np.random.default_rng(2).integers(0, 4, 100).astype(np.uint8)
    used = (encoder.frames(100) - 1) * encoder.stride + encoder.width
    np.testing.assert_allclose(
        embed(encoder, [tokens], "both", False), embed(encoder, [tokens[:used]], "both", False), **TOLERANCE
    )
