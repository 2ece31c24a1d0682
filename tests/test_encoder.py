"""The encoder's geometry, causality, fold and carried state."""

import copy
import io
import math
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genossl.genome.alphabet import MASK, N, reverse_complement
from genossl.model.encoder import Encoder, Settings, State, encoder_device

ENCODERS = {
    "kmer gru": dict(front="kmer", k=3, width=20, stride=20, hidden=16, channels=12, rnn="gru", context=12),
    "kmer overlapping lstm": dict(
        front="kmer", k=4, width=30, stride=10, hidden=16, channels=8, rnn="lstm", context=10
    ),
    "kmer plain": dict(front="kmer", k=3, canonical=False, width=16, stride=8, hidden=16, channels=8, context=8),
    "kmer no prefix": dict(front="kmer", k=3, width=20, stride=20, hidden=16, channels=12, context=12, prefix=False),
    "kmer mlp": dict(front="kmer", k=3, width=20, stride=20, hidden=16, channels=12, rnn="none", context=12),
    "conv lstm": dict(front="conv", width=24, stride=6, channels=32, rnn="lstm", context=16),
    "conv gru": dict(front="conv", width=20, stride=10, channels=32, rnn="gru", context=16),
    "conv mask": dict(front="conv", width=20, stride=10, channels=32, rnn="gru", context=16, mask=True),
    "bases": dict(front="conv", width=6, stride=1, channels=8, rnn="gru", context=16),
    "kmer aggregator": dict(front="kmer", k=3, width=20, stride=20, hidden=16, channels=12, rnn="conv", context=12),
    "conv aggregator": dict(front="conv", width=20, stride=10, channels=8, rnn="conv", context=16, layers=2),
}


@pytest.fixture(params=ENCODERS, ids=list(ENCODERS))
def encoder(request):
    torch.manual_seed(0)
    made = Encoder(Settings(**ENCODERS[request.param]))
    made.fit_statistics(torch.randint(0, 4, (64, 120), dtype=torch.uint8))
    return made.eval()


def tokens(*shape, seed=0):
    return torch.randint(0, 4, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_frames_and_channels(encoder):
    for length in (encoder.width, encoder.width + 1, 97, 120):
        c = encoder(tokens(2, length)).c
        assert c.shape == (2, encoder.frames(length), encoder.channels)
        assert encoder.frames(length) == (length - encoder.width) // encoder.stride + 1
    assert encoder.frames(encoder.width - 1) == 0


def test_a_base_moves_only_the_frames_that_have_read_it(encoder):
    x = tokens(1, 120)
    before = encoder(x).c[0]
    for at in (0, 37, 119):
        y = x.clone()
        y[0, at] = (y[0, at] + 1) % 4
        moved = (encoder(y).c[0] - before).abs().amax(1) > 0
        first = next((t for t in range(len(moved)) if t * encoder.stride + encoder.width > at), len(moved))
        assert not moved[:first].any(), "a context state saw a base to its right"
        if first < len(moved):
            assert moved[first], "a frame ignored a base under it"


def test_gap_is_the_smallest_that_shares_no_base(encoder):
    def bases(t):
        return set(range(t * encoder.stride, t * encoder.stride + encoder.width))

    assert not bases(0) & bases(encoder.gap + 1)
    assert encoder.gap == 0 or bases(0) & bases(encoder.gap)


def test_batch_neighbours_do_not_matter(encoder):
    x = tokens(8, 100)
    together = encoder(x).c
    alone = torch.cat([encoder(row[None]).c for row in x])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_states_asked_for_are_those_of_all(encoder):
    x = tokens(3, 120)
    whole = encoder(x).c
    last = whole.shape[1] - 1
    torch.testing.assert_close(encoder(x, at_BS=torch.tensor([[0, last]])).c, whole[:, [0, last]])
    own = torch.tensor([[0], [last], [1]])
    torch.testing.assert_close(encoder(x, at_BS=own).c, whole[torch.arange(3)[:, None], own])


def test_state_makes_cuts_invisible(encoder):
    x = tokens(3, 120)
    whole = encoder(x).c
    state: State | None = None
    parts = []
    for first in range(0, encoder.frames(120), 2):
        until = min(first + 2, encoder.frames(120))
        read = encoder(x[:, first * encoder.stride : (until - 1) * encoder.stride + encoder.width], state)
        parts.append(read.c)
        state = read.state
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-5, atol=1e-5)


def test_latents_are_frames_without_context(encoder):
    x = tokens(2, 120)
    read = encoder(x, latents=True)
    assert read.z.shape == (2, encoder.frames(120), encoder.settings.channels)
    torch.testing.assert_close(read.z, encoder.latents(x))
    torch.testing.assert_close(read.c, encoder(x).c, rtol=1e-5, atol=1e-5)
    assert encoder(x).z is None
    alone = encoder.latents(x[:, encoder.stride : encoder.stride + encoder.width])
    torch.testing.assert_close(alone[:, 0], read.z[:, 1], rtol=1e-5, atol=1e-5)


def test_all_parameters_get_a_gradient(encoder):
    encoder.train()
    encoder(tokens(4, 120)).c.square().sum().backward()
    missing = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not missing


def test_copies_read_as_the_original(encoder):
    x = tokens(3, 120)
    expected = encoder(x).c
    loaded = Encoder(encoder.settings).eval()
    stream = io.BytesIO()
    torch.save(encoder.state_dict(), stream)
    stream.seek(0)
    loaded.load_state_dict(torch.load(stream, weights_only=True))
    for copied in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder)), loaded, nn.Sequential(encoder)):
        assert torch.equal(copied(x).c, expected)


@pytest.mark.parametrize("dtype,relative", [(torch.float64, 1e-5), (torch.float16, 0.02), (torch.bfloat16, 0.1)])
def test_a_module_of_another_type(encoder, dtype, relative):
    """As far off as the type's mantissa, of 11 and 8 bits, makes it through a few products."""
    x = tokens(3, 120)
    expected, found = encoder(x).c.double(), copy.deepcopy(encoder).to(dtype)(x).c
    assert found.dtype in (torch.float32, dtype)
    assert (found.double() - expected).norm() < relative * expected.norm()


@pytest.mark.parametrize("name", ["kmer gru", "conv lstm"])
def test_compiled_and_exported_it_reads_as_it_does(name):
    """The tracing, not the code that is generated after it, which is the same for all modules and takes a compiler."""
    encoder, x, y = Encoder(Settings(**ENCODERS[name])).eval(), tokens(3, 120), tokens(2, 80)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(encoder, backend="eager", fullgraph=True, dynamic=True)
        for one in (x, y):
            assert torch.equal(compiled(one).c, encoder(one).c)
    exported = torch.export.export(encoder, (x,), strict=False).module()
    assert torch.equal(exported(x).c, encoder(x).c)


def test_canonical_frames_are_strand_blind_and_plain_ones_are_not():
    x = tokens(2, 20)
    for canonical in (True, False):
        encoder = Encoder(
            Settings(k=3, canonical=canonical, width=20, stride=20, hidden=8, channels=8, context=8)
        ).eval()
        equal = torch.allclose(encoder(x).c, encoder(reverse_complement(x)).c, atol=1e-6)
        assert equal is canonical


def test_n_is_the_zero_vector_of_the_convolution():
    encoder = Encoder(Settings(**ENCODERS["conv lstm"]))
    x = tokens(1, 24)
    x[0, 5:9] = N
    kernel = encoder.front.weight
    one_hot = F.one_hot(x.long().clamp(max=3), 4).float().transpose(1, 2)
    one_hot[:, :, 5:9] = 0
    plain = F.conv1d(one_hot, kernel, encoder.front.bias, stride=6).transpose(1, 2)
    torch.testing.assert_close(encoder.front(x), plain)
    x[0, 5:9] = MASK
    torch.testing.assert_close(encoder.front(x), plain)


def test_mask_has_a_channel_of_its_own_where_asked_for():
    torch.manual_seed(0)
    encoder = Encoder(Settings(**ENCODERS["conv mask"]))
    x, y = tokens(1, 20), tokens(1, 20)
    x[0, 7], y[0, 7] = N, MASK
    moved = (encoder.front(y) - encoder.front(x))[0, 0]
    torch.testing.assert_close(moved, encoder.front.weight[:, 4, 7], rtol=1e-4, atol=1e-6)


def test_causal_convolutions_equal_padded_ones():
    """Torch's convolution of the frames with as many zeros on the left; norms and residuals written out."""
    torch.manual_seed(0)
    encoder = Encoder(Settings(**ENCODERS["conv aggregator"]))
    x = tokens(3, 120)
    h = F.linear(encoder.front(x), encoder.rnn.level.weight, encoder.rnn.level.bias)
    for i, (norm, layer) in enumerate(zip(encoder.rnn.norms, encoder.rnn.layers, strict=True)):
        padded = F.pad(F.layer_norm(h, (16,), norm.weight, norm.bias).mT, (2 ** (i + 1), 0))
        h = (h + F.gelu(F.conv1d(padded, layer.weight, layer.bias, dilation=2**i)).mT) / math.sqrt(2)
    torch.testing.assert_close(encoder(x).c, h, rtol=1e-5, atol=1e-5)


def test_causal_convolutions_see_so_many_frames():
    torch.manual_seed(0)
    encoder = Encoder(Settings(front="conv", width=4, stride=4, channels=8, rnn="conv", context=8, layers=3))
    x = tokens(1, 4 * 40)
    y = x.clone()
    y[0, 0] = (y[0, 0] + 1) % 4
    moved = (encoder(y).c - encoder(x).c)[0].abs().amax(1) > 0
    assert moved.nonzero().flatten().tolist() == list(range(2**4 - 1))


def test_counts_equal_counting_by_hand():
    encoder = Encoder(Settings(k=2, width=6, stride=3, hidden=4, channels=4, context=4))
    x = torch.tensor([[0, 0, 1, 4, 3, 3, 2, 0, 1]], dtype=torch.uint8)  # AACNTTGAC
    counts, valid = encoder.front.counts(x)
    # frame 0 AACNTT: AA AC TT -> AA/TT twice, AC/GT once; frame 1 NTTGAC: TT TG GA AC
    assert valid.flatten().tolist() == [3, 4]
    assert sorted(counts[0, 0].tolist(), reverse=True)[:3] == [2, 1, 0]
    assert counts.sum() == 7


def test_all_n_is_average_and_finite():
    encoder = Encoder(Settings(k=3, width=20, stride=20, hidden=8, channels=8, context=8)).eval()
    encoder.fit_statistics(tokens(64, 100))
    c = encoder(torch.full((1, 60), N, dtype=torch.uint8)).c
    assert torch.isfinite(c).all()
    assert torch.isfinite(Encoder(Settings(**ENCODERS["conv lstm"]))(torch.full((1, 60), N, dtype=torch.uint8)).c).all()


@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_the_fold_equals_the_plain_network_in_value_and_gradient(rnn):
    """Conv1d, then the library's recurrence on its channels: nothing folded, nothing of ours."""
    torch.manual_seed(1)
    encoder = Encoder(Settings(front="conv", width=24, stride=6, channels=40, rnn=rnn, context=16)).double()
    conv = nn.Conv1d(4, 40, 24, 6).double()
    plain = (nn.LSTM if rnn == "lstm" else nn.GRU)(40, 16, batch_first=True).double()
    conv.weight.data.copy_(encoder.front.weight)
    conv.bias.data.copy_(encoder.front.bias)
    plain.load_state_dict(encoder.rnn.state_dict())
    x = tokens(5, 150)
    one_hot = F.one_hot(x.long(), 4).double().transpose(1, 2)
    expected = plain(conv(one_hot).transpose(1, 2))[0]
    folded = encoder(x).c
    torch.testing.assert_close(folded.double(), expected, rtol=1e-5, atol=1e-6)
    target = torch.randn_like(expected)
    (expected * target).sum().backward()
    (folded * target).sum().backward()
    for ours, theirs in (
        (encoder.front.weight, conv.weight),
        (encoder.front.bias, conv.bias),
        (encoder.rnn.weight_ih_l0, plain.weight_ih_l0),
        (encoder.rnn.weight_hh_l0, plain.weight_hh_l0),
        (encoder.rnn.bias_ih_l0, plain.bias_ih_l0),
    ):
        scale = theirs.grad.abs().max()
        assert ((ours.grad - theirs.grad).abs().max() / scale).item() < 1e-5


@pytest.mark.parametrize(
    "width,stride,gap,frames,length", [(24, 6, 3, 22, 150), (40, 20, 1, 49, 1000), (100, 100, 0, 5, 500)]
)
def test_published_geometry(width, stride, gap, frames, length):
    encoder = Encoder(Settings(front="conv", width=width, stride=stride, channels=4, rnn="lstm", context=4))
    assert (encoder.gap, encoder.frames(length)) == (gap, frames)


def test_paper_has_the_published_number_of_parameters():
    """1024 filters, LSTM 512: 99,328 + 3,147,776 (Keras has one bias vector; torch's second one is 4 * 512 more)."""
    encoder = Encoder(Settings(front="conv", width=24, stride=6, channels=1024, rnn="lstm", context=512))
    assert sum(p.numel() for p in encoder.parameters()) == 99_328 + 3_147_776 + 4 * 512


def test_keras_initialisation():
    torch.manual_seed(0)
    encoder = Encoder(Settings(front="conv", width=24, stride=6, channels=64, rnn="lstm", context=32))
    assert encoder.front.bias.abs().sum() == 0
    assert encoder.front.weight.abs().max() <= math.sqrt(6 / (24 * (4 + 64)))
    w = encoder.rnn.weight_hh_l0
    torch.testing.assert_close(w.T @ w, torch.eye(32), atol=1e-5, rtol=0)
    bias = encoder.rnn.bias_ih_l0
    assert bias[32:64].eq(1).all()
    assert bias.sum() == 32


def test_bf16_is_close_to_fp32():
    encoder = Encoder(Settings(**ENCODERS["kmer gru"])).eval()
    x = tokens(4, 120)
    with torch.autocast("cpu", torch.bfloat16):
        low = encoder(x).c
    cosine = F.cosine_similarity(low.float(), encoder(x).c, dim=-1)
    assert cosine.min() > 0.999


@pytest.mark.parametrize(
    "wrong,message",
    [
        (dict(k=9), "k must be"),
        (dict(k=5, width=4), "k must be"),
        (dict(stride=0), "stride must be"),
        (dict(front="conv", rnn="none"), "rnn none"),
        (dict(prefix=False, rnn="none"), "rnn none"),
        (dict(dropout=1.0), "dropout must be"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)


def test_devices():
    from genossl.errors import InputError

    assert encoder_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="unknown"):
        encoder_device("tpu9")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="device cuda: this machine"):
            encoder_device("cuda")
