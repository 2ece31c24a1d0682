"""Windows rebuilt from one vector: the error's closed forms, principal components, and the floor that noise sets."""

import numpy as np
import pytest
import torch

from genossl import methods
from genossl.errors import InputError
from genossl.genome.alphabet import MASK, N
from genossl.genome.windows import Batch
from genossl.methods.autoencoder import decoder, squared_error
from genossl.model.encoder import Encoder, Settings

AE = methods.load("autoencoder")


def net(width=8, stride=4, channels=16, context=16, **settings):
    torch.manual_seed(0)
    return Encoder(
        Settings(front="conv", width=width, stride=stride, channels=channels, context=context, mask=True, **settings)
    )


def made(length=40, encoder=None, **settings):
    encoder = encoder or net()
    return AE(AE.Settings(length=length, **{"strand": 0.0, "noise": 0.0, "hidden": 8, **settings}), encoder)


def bases(n, length, seed=0, unknown=0.0):
    rng = np.random.default_rng(seed)
    tokens = np.where(rng.random((n, length)) < unknown, N, rng.integers(0, 4, (n, length)))
    return torch.from_numpy(tokens.astype(np.uint8))


def batch(tokens):
    row = torch.zeros(len(tokens), dtype=torch.int64)
    return Batch(tokens, row, row, row)


def viewed(method, n=8, seed=0, unknown=0.0):
    return method.views(batch(bases(n, method.length, seed, unknown)), np.random.default_rng(seed + 1))


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def one_hot(tokens):
    return torch.eye(6)[tokens.long()][..., :4].mT


def train(method, draw, steps, lr):
    optimiser = torch.optim.Adam(method.parameters())
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (1 - step / steps)
        loss = method.loss(draw()).terms["rebuilt"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_the_error_equals_a_loop():
    tokens, rebuilt = bases(5, 13, unknown=0.2), normal(5, 4, 13)
    errors = [
        sum((rebuilt[b, a, i].item() - int(a == tokens[b, i])) ** 2 for a in range(4)) / 4
        for b in range(5)
        for i in range(13)
        if tokens[b, i] < N
    ]
    assert squared_error(rebuilt, tokens).item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_the_loss_and_the_share_of_right_bases_equal_a_loop():
    method = made(code=5)
    views = viewed(method, unknown=0.1)
    loss, errors, right = method.loss(views), [], []
    for noisy, clean in zip(views["noisy_tokens"], views["clean"], strict=True):
        rebuilt = method.decoder(method.code(method.encoder(noisy[None]).c[:, -1]))[0]
        for i in (clean < N).nonzero().flatten():
            errors.append(((rebuilt[:, i] - torch.eye(4)[int(clean[i])]) ** 2).mean().item())
            right.append(int(rebuilt[:, i].argmax()) == int(clean[i]))
    assert loss.terms["rebuilt"].item() == pytest.approx(np.mean(errors), rel=1e-5)
    assert loss.metrics["top1"].item() == pytest.approx(np.mean(right))
    assert loss.vectors.shape == (8, 5)


def test_simple_answers_have_their_error():
    tokens = bases(20, 30, unknown=0.1)
    assert squared_error(one_hot(tokens), tokens) == 0
    assert squared_error(torch.zeros(20, 4, 30), tokens) == 0.25
    assert squared_error(torch.full((20, 4, 30), 0.25), tokens).item() == pytest.approx(0.1875)


def test_a_window_of_n_has_no_part_in_the_error():
    tokens, rebuilt = bases(6, 20), normal(6, 4, 20)
    tokens[2] = N
    kept = [0, 1, 3, 4, 5]
    torch.testing.assert_close(squared_error(rebuilt, tokens), squared_error(rebuilt[kept], tokens[kept]))
    method = made()
    loss = method.loss({key: torch.full((4, 40), N, dtype=torch.uint8) for key in ("noisy_tokens", "clean")})
    assert loss.terms["rebuilt"].item() == loss.metrics["top1"].item() == 0
    loss.terms["rebuilt"].backward()
    assert all(p.grad.isfinite().all() for p in method.parameters())


def test_the_best_constant_answers_with_the_frequencies():
    """(1 - sum p_b^2) / 4; and the error of any other answer q is that plus the mean of (q - p)^2."""
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.choice(5, (50, 40), p=[0.4, 0.1, 0.15, 0.25, 0.1]).astype(np.uint8))
    share = torch.bincount(tokens[tokens < N].long(), minlength=4) / (tokens < N).sum()
    best = (1 - share.square().sum()) / 4
    for answer in (share, torch.full((4,), 0.25), torch.tensor([1.0, 0, 0, 0]), normal(4)):
        expected = best + (answer - share).square().mean()
        torch.testing.assert_close(squared_error(answer[None, :, None].expand(50, 4, 40), tokens), expected)


def test_the_linear_autoencoder_is_principal_component_analysis():
    """A linear map on each side, trained on the method's error through the method's decoder, ends at the error of the
    leading components: the sum of the squared singular values left out."""
    codes, length, n = 5, 6, 60
    tokens = bases(n, length)
    x = one_hot(tokens).double().flatten(1)
    singular = torch.linalg.svdvals(x - x.mean(0))
    expected = singular[codes:].square().sum() / x.numel()
    torch.manual_seed(0)
    coder = torch.nn.Linear(4 * length, codes).double()
    back = decoder(codes, length, net(), 0).double()
    optimiser = torch.optim.LBFGS(
        [*coder.parameters(), *back.parameters()],
        max_iter=2000,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimiser.zero_grad()
        error = squared_error(back(coder(x)), tokens)
        error.backward()
        return error

    optimiser.step(closure)
    found = closure().item()
    assert found == pytest.approx(expected.item(), abs=1e-9)
    # the same subspace, too
    leading = torch.linalg.svd(x - x.mean(0)).Vh[:codes].T
    spanned = torch.linalg.qr(back[0].weight.detach()).Q
    assert torch.linalg.svdvals(leading.T @ spanned).min() > 1 - 1e-5


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_who_knows_the_noise_has_its_floor_as_error(noise):
    """(1 - (1 - p)^2 - p^2 / 3) / 4 for independent, equally likely bases; the answer is each one's posterior."""
    method = made(length=200, encoder=net(), noise=noise)
    views = viewed(method, n=1000)
    right = one_hot(views["noisy_tokens"])
    posterior = right * (1 - noise) + (1 - right) * noise / 3
    each = (posterior - one_hot(views["clean"])).square().mean(1)
    floor = (1 - (1 - noise) ** 2 - noise**2 / 3) / 4
    error = squared_error(posterior, views["clean"])
    assert abs(error - floor) < 4 * each.std() / each.numel() ** 0.5
    for other in (right, posterior * 0.97 + 0.0075):  # the reading itself, and a more timid posterior
        assert squared_error(other, views["clean"]) > error


def test_the_noise_floor_is_approached_and_not_beaten():
    """Windows short enough for every base to fit through the code, never seen twice, with nothing to know about a base
    but its noisy reading."""
    method = made(8, net(width=8, stride=8, channels=32, context=64), noise=0.1, hidden=0)
    rng = np.random.default_rng(0)

    def draw(n=128):
        return method.views(batch(torch.from_numpy(rng.integers(0, 4, (n, 8), np.uint8))), rng)

    train(method, draw, 600, 5e-3)
    with torch.no_grad():
        errors = np.array([method.loss(draw(500)).terms["rebuilt"].item() for _ in range(40)])
    floor = (1 - 0.9**2 - 0.1**2 / 3) / 4
    assert floor - 3 * errors.std(ddof=1) / len(errors) ** 0.5 < errors.mean() < floor + 0.004


def test_eight_windows_are_learnt_by_heart():
    method = made(40, net(channels=32, context=64), hidden=32)
    views = viewed(method)
    train(method, lambda: views, 150, 5e-3)
    loss = method.loss(views)
    assert loss.terms["rebuilt"] < 1e-3
    assert loss.metrics["top1"] == 1


def test_noise_and_hiding_are_in_what_is_read_only():
    tokens = bases(400, 100, unknown=0.05)
    method = made(100, noise=0.1, hide=0.2, span=10)
    views = method.views(batch(tokens), np.random.default_rng(0))
    read, known = views["noisy_tokens"], tokens < N
    assert torch.equal(views["clean"], tokens)
    assert (read[~known] == N).all()
    hidden = read[known] == MASK
    assert abs(hidden.float().mean() - 0.2) < 4 * (10 * 0.16 / known.sum()) ** 0.5
    seen = known & (read != MASK)
    changed, n = (read != tokens)[seen].sum().item(), seen.sum().item()
    assert abs(changed - 0.1 * n) < 4 * (n * 0.09) ** 0.5
    assert torch.equal(made(100).views(batch(tokens), np.random.default_rng(0))["noisy_tokens"], tokens)


@pytest.mark.parametrize("width,stride,hidden", [(40, 20, 8), (6, 1, 8), (40, 20, 0)])
def test_the_decoder_gives_four_numbers_per_base(width, stride, hidden):
    encoder = net(width, stride)
    method = made(100, encoder, hidden=hidden)
    assert method.decoder(normal(3, 16)).shape == (3, 4, 100)


def test_encoders_and_lengths_that_cannot_serve_are_refused():
    with pytest.raises(InputError, match="--config conv"):
        AE(AE.Settings(), Encoder(Settings()))
    with pytest.raises(InputError, match=r"autoencoder.length 41: the last 1 bases .* use 40 or 44"):
        made(41)
    with pytest.raises(ValueError, match="from 0 to 1"):
        AE.Settings(noise=1.5)
    with pytest.raises(ValueError, match="at least 1"):
        AE.Settings(span=0)
