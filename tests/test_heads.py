"""What stands on the encoder: projectors, teachers, predictors in closed form."""

import pairs
import pytest
import torch
from torch import nn

from genossl.model.encoder import Encoder, Settings
from genossl.pretext.heads import Teacher, direct_copy, direct_set, predictor, projector, summary


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
