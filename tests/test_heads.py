"""What stands on the encoder: projectors, teachers, predictors in closed form."""

import pairs
import pytest
import torch
from torch import nn

from genossl.model.encoder import Encoder, Settings
from genossl.pretext.heads import (
    Ahead,
    Quantiser,
    Teacher,
    direct_copy,
    direct_set,
    predictor,
    projector,
    summary,
)


def made():
    torch.manual_seed(0)
    encoder = Encoder(Settings(**pairs.ENCODER))
    return encoder, projector(8, 5, 6, norm=True)


def tokens(seed=0):
    return torch.randint(0, 4, (12, 100), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_no_weight_of_a_head_cancels_out():
    """Behind a BatchNorm or in a difference a bias gets no gradient, or noise of one."""
    head = projector(8, 5, 6, norm=True)
    assert [n for n, _ in head.named_parameters() if "bias" in n] == ["2.bias"]  # of the BatchNorm itself
    assert len(list(projector(8, 5).parameters())) == 1
    assert predictor(5, 6)[0].bias is None


def test_the_teacher_starts_equal_and_gets_no_gradient():
    encoder, head = made()
    teacher = Teacher(encoder, head)
    x = tokens()
    torch.testing.assert_close(teacher(x), head(summary(encoder, x)))
    out = head(summary(encoder, x))
    assert not teacher(x).requires_grad
    (out * teacher(x)).sum().backward()
    assert all(not p.requires_grad and p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.996, 1.0])
def test_the_teacher_follows_by_the_moving_average(momentum):
    encoder, head = made()
    teacher = Teacher(encoder, head)
    torch.manual_seed(1)
    with torch.no_grad():
        for p in (*encoder.parameters(), *head.parameters()):
            p.add_(torch.randn_like(p))
    before = [p.clone() for p in teacher.parameters()]
    teacher.follow(encoder, head, momentum)
    students = [*encoder.parameters(), *head.parameters()]
    for own, was, student in zip(teacher.parameters(), before, students, strict=True):
        torch.testing.assert_close(own, momentum * was + (1 - momentum) * student, rtol=1e-6, atol=1e-7)


def test_three_steps_of_a_moving_average():
    encoder, head = made()
    teacher, weight = Teacher(encoder, head), head[-1].weight
    values = [teacher.head[-1].weight.clone()]
    for step in range(3):
        with torch.no_grad():
            weight.copy_(torch.full_like(weight, float(step)))
        values.append(weight.clone())
        teacher.follow(encoder, head, 0.8)
    expected = 0.8**3 * values[0] + 0.2 * (0.8**2 * values[1] + 0.8 * values[2] + values[3])
    torch.testing.assert_close(teacher.head[-1].weight.data, expected)


def test_the_teacher_takes_over_statistics():
    """Those of k-mers are fitted after the copy was made; those of BatchNorm follow no gradient."""
    encoder, head = made()
    teacher = Teacher(encoder, head)
    encoder.fit_statistics(tokens())
    head(summary(encoder, tokens(1)))
    assert not torch.equal(teacher.encoder.front.mean, encoder.front.mean)
    teacher.match(encoder, head)
    for own, student in ((teacher.encoder, encoder), (teacher.head, head)):
        assert all(torch.equal(a, b) for a, b in zip(own.buffers(), student.buffers(), strict=True))
    teacher.eval(), encoder.eval(), head.eval()
    torch.testing.assert_close(teacher(tokens(2)), head(summary(encoder, tokens(2))))


def rotation(degrees):
    a = torch.tensor(degrees * torch.pi / 180, dtype=torch.float64)
    return torch.stack([torch.stack([a.cos(), -a.sin()]), torch.stack([a.sin(), a.cos()])])


def correlation(seed=0, width=6):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(20, width, generator=generator, dtype=torch.float64)
    return x.T @ x / 20


def orthogonal(seed=0, width=6):
    x = torch.randn(width, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(x).Q


def test_the_predictor_of_fixed_matrices():
    fixed = torch.diag(torch.tensor([4.0, 1.0, 0.25, 0.0]))
    torch.testing.assert_close(direct_set(fixed, 0.5, 0.01), torch.diag(torch.tensor([1.01, 0.51, 0.26, 0.01])))
    turned = rotation(30.0) @ torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64)) @ rotation(30.0).T
    torch.testing.assert_close(
        turned, torch.tensor([[3.25, 1.299038], [1.299038, 1.75]], dtype=torch.float64), rtol=0, atol=1e-6
    )
    expected = torch.tensor([[0.885, 0.2165064], [0.2165064, 0.635]], dtype=torch.float64)
    torch.testing.assert_close(direct_set(turned, 0.5, 0.01), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rule", [lambda f: direct_set(f, 0.5, 0.01), lambda f: direct_copy(f, 0.3)])
def test_a_predictor_turns_with_what_it_reads_and_knows_no_scale(rule):
    f, q = correlation(), orthogonal()
    torch.testing.assert_close(rule(q @ f @ q.T), q @ rule(f) @ q.T)
    torch.testing.assert_close(rule(7 * f), rule(f))
    torch.testing.assert_close(rule(f), rule(f).T)
    torch.testing.assert_close(rule(f) @ f, f @ rule(f))
    assert torch.linalg.eigvalsh(rule(f)).min() > 0


def test_without_epsilon_the_square_of_the_predictor_is_the_correlation():
    f = correlation()
    w = direct_set(f, 0.5, 0.0)
    torch.testing.assert_close(torch.linalg.eigvalsh(f)[-1] * w @ w, f)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_copying_is_setting_with_exponent_one(epsilon):
    f = correlation()
    torch.testing.assert_close(direct_copy(f, epsilon), direct_set(f, 1.0, epsilon))


def test_no_correlation_gives_the_identity_and_rank_one_stays_finite():
    zero, eye = torch.zeros(4, 4), torch.eye(4)
    assert torch.equal(direct_set(zero, 0.5, 0.01), eye)
    assert torch.equal(direct_copy(zero, 0.3), eye)
    one = torch.ones(4, 4)
    assert direct_set(one, 0.5, 0.0).isfinite().all()
    assert torch.linalg.eigvalsh(direct_set(one, 0.5, 0.0)).min() > 5e-5  # the floor, 1e-4


def test_there_is_no_batchnorm_in_the_encoder():
    assert not [m for m in made()[0].modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def test_steps_ahead_pair_each_context_with_the_frame_gap_plus_k_further_on():
    encoder = Encoder(Settings(front="conv", width=20, stride=8, channels=5, context=7))
    assert encoder.gap == 2
    ahead = Ahead("x", 100, encoder, 4, 0, bias=False)  # 11 frames
    assert ahead.far == [3, 4, 5, 6]
    frame_BT1 = torch.arange(11.0).expand(2, -1)[..., None]
    for far, h, z in zip(ahead.far, ahead(torch.randn(2, 11, 7)), ahead.targets(frame_BT1), strict=True):
        assert h.shape == (2, 11 - far, 5)
        assert z[0, :, 0].tolist() == list(range(far, 11))
    assert len(Ahead("x", 100, encoder, 99, 0, bias=False).maps) == 11 - 1 - 2


def quantiser(groups=3, entries=4, temperature=2.0):
    torch.manual_seed(0)
    return Quantiser(5, 6, groups, entries, temperature)


def test_the_quantiser_takes_the_likeliest_entry_of_each_group_and_no_noise_when_it_serves():
    module, z = quantiser().eval(), torch.randn(7, 5)
    found = module(z)
    logits = module.logits(module.norm(z)).view(7, 3, 4)
    for x in range(7):
        code = [int(logits[x, g].argmax()) for g in range(3)]
        assert found.code_XG[x].tolist() == code
        entries = torch.cat([module.book_GVP[g, v] for g, v in enumerate(code)])
        torch.testing.assert_close(found.q_XP[x], module.out(entries))
    torch.testing.assert_close(found.shares_GV, logits.softmax(-1).mean(0))
    assert torch.equal(module(z).q_XP, found.q_XP)
    one_at_a_time = torch.cat([module(row[None]).code_XG for row in z])
    assert torch.equal(one_at_a_time, found.code_XG)


@pytest.mark.parametrize("training", [False, True])
def test_forward_is_one_entry_and_backward_the_soft_choice(training):
    """The output is exactly an entry; the gradient is that of the softmax-weighted mean of the entries."""
    module, z = quantiser().train(training), torch.randn(7, 5)
    module.out = nn.Identity()
    weight = torch.randn(7, 6)
    torch.manual_seed(1)
    found = module(z)
    for x in range(7):
        for g in range(3):
            entry = module.book_GVP[g, found.code_XG[x, g]]
            assert torch.equal(found.q_XP[x].view(3, 2)[g], entry)
    hard = torch.autograd.grad((found.q_XP * weight).sum(), [module.logits.weight, module.book_GVP])
    torch.manual_seed(1)
    logits = module.logits(module.norm(z)).view(7, 3, 4)
    noise = -torch.empty_like(logits).exponential_().log() if training else 0.0
    soft = ((logits + noise) / 2.0).softmax(-1)
    mean = torch.stack([soft[:, g] @ module.book_GVP[g].detach() for g in range(3)], 1).flatten(1)
    (expected,) = torch.autograd.grad((mean * weight).sum(), module.logits.weight)
    torch.testing.assert_close(hard[0], expected)
    used = torch.zeros(3, 4, dtype=torch.bool)
    used[torch.arange(3).expand(7, 3), found.code_XG] = True
    assert torch.equal(hard[1].abs().sum(-1) > 0, used)  # entries that nobody chose learn nothing


def test_training_draws_entries_by_their_probability():
    """The Gumbel trick: the noisy argmax is a draw from the softmax, whatever the temperature."""
    module, z = quantiser(groups=1, temperature=0.3), torch.randn(1, 5)
    with torch.no_grad():
        module.logits.weight.mul_(0.3)
    expected = module.eval()(z).shares_GV[0].double()
    torch.manual_seed(2)
    code = module.train()(z.expand(20_000, -1)).code_XG[:, 0]
    found = torch.bincount(code, minlength=4) / 20_000
    assert ((found - expected).abs() < 4 * (expected * (1 - expected) / 20_000) ** 0.5 + 1e-9).all()
