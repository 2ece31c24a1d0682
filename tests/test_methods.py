"""What every pretext method owes, over the menu: a new file is tested by being there."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
import planted
import pytest
import torch
from click.testing import CliRunner

from genossl import methods
from genossl.cli import cli
from genossl.errors import InputError
from genossl.genome.store import TokenStore
from genossl.genome.windows import generator
from genossl.model.encoder import Encoder, Settings
from genossl.pretext.method import Loss, Method
from genossl.recipe import Loop, resolve
from genossl.verbs import methods as verb
from genossl.verbs import pretrain

NAMES = methods.available()
ROWS = 8
ENCODERS = {  # small ones, by the preset that a method starts from
    "default": Settings(k=3, width=50, stride=50, hidden=16, channels=16, context=16, dropout=0.0),
    "conv": Settings(front="conv", width=20, stride=10, channels=16, context=16, mask=True),
    "bases": Settings(front="conv", width=6, stride=1, channels=16, context=16, mask=True),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> TokenStore:
    rng = np.random.default_rng(0)
    genomes = {
        f"g{i}": ("train", [planted.sample(rng, planted.symmetric(rng, 4, 0.5), 12_000) for _ in range(4)])
        for i in range(2)
    }
    return TokenStore.open(planted.store(tmp_path_factory.mktemp("methods") / "store", genomes))


def made(name: str, seed: int = 0, preset: str = "", dropout: float = 0.0) -> Method:
    kind = methods.load(name)
    torch.manual_seed(seed)
    encoder = dataclasses.replace(ENCODERS[preset or kind.preset], dropout=dropout)
    return kind(kind.Settings(), Encoder(encoder))


def drawn(method: Method, store: TokenStore, seed: int = 0):
    return method.sampler(store, np.arange(len(store.contigs))).draw(ROWS, generator(seed, 0))


def viewed(method: Method, store: TokenStore, seed: int = 0):
    return method.views(drawn(method, store, seed), generator(seed, 1))


def fields(batch) -> dict[str, torch.Tensor]:
    named = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return {name: value for name, value in named.items() if value is not None}


@pytest.mark.parametrize("name", NAMES)
def test_views_depend_on_the_generator_alone(name, store):
    method = made(name)
    batch = drawn(method, store)
    torch.manual_seed(1)
    np.random.seed(1)
    one = method.views(batch, generator(0, 1))
    torch.manual_seed(2)
    np.random.seed(2)
    two = method.views(batch, generator(0, 1))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", NAMES)
def test_views_and_loss_leave_their_input_as_it_was(name, store):
    method = made(name)
    batch = drawn(method, store)
    before = {key: value.clone() for key, value in fields(batch).items()}
    views = method.views(batch, generator(0, 1))
    copies = {key: value.clone() for key, value in views.items()}
    method.loss(views)
    assert all(torch.equal(value, before[key]) for key, value in fields(batch).items())
    assert all(torch.equal(value, copies[key]) for key, value in views.items())


@pytest.mark.parametrize("name", NAMES)
def test_token_views_are_bytes_and_are_counted(name, store):
    method = made(name)
    views = viewed(method, store)
    tokens = {key: value for key, value in views.items() if key.endswith("_tokens")}
    assert tokens
    assert {value.dtype for value in tokens.values()} == {torch.uint8}
    assert all(value.max() <= 5 for value in tokens.values())
    assert method.bases(views) == sum(value.numel() for value in tokens.values())
    assert method.length >= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_made_of_finite_named_scalars(name, store):
    method = made(name)
    loss = method.loss(viewed(method, store))
    assert isinstance(loss, Loss)
    assert loss.terms
    for key, value in {**loss.terms, **loss.metrics}.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key)
        assert value.shape == ()
        assert value.isfinite(), key
    assert loss.vectors.ndim == 2
    assert len(loss.vectors) > 1
    assert not loss.vectors.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name, store):
    """A parameter without a gradient is dead weight; one that must not learn says requires_grad False."""
    method = made(name)
    torch.stack(list(method.loss(viewed(method, store)).terms.values())).sum().backward()
    taught = [key for key, value in method.named_parameters() if not value.requires_grad]
    assert not [key for key in taught if key.startswith("encoder.")]
    assert all(dict(method.named_parameters())[key].grad is None for key in taught)
    learnt = {key: value for key, value in method.named_parameters() if value.requires_grad}
    assert any(key.startswith("encoder.") for key in learnt)
    dead = [key for key, value in learnt.items() if value.grad is None or not value.grad.abs().sum() > 0]
    assert not dead
    assert all(value.grad.isfinite().all() for value in learnt.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_state_is_all_there_is(name, store):
    method, other = made(name), made(name, seed=1)
    views = viewed(method, store)
    method.after_step(0.5)
    expected = method.loss(views).terms
    assert any(not torch.equal(value, expected[key]) for key, value in other.loss(views).terms.items())
    other.load_state_dict(method.state_dict())
    found = other.loss(views).terms
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


def steps(trainer: pretrain.Trainer, until: int) -> pretrain.Trainer:
    """Train to the end, or to a step before it."""
    for _ in trainer.train(lambda: False):
        if trainer.step == until:
            break
    return trainer


@pytest.mark.parametrize("name", NAMES)
def test_stopped_and_resumed_equals_unbroken_bit_for_bit(name, store, tmp_path):
    rows = np.arange(len(store.contigs))
    loop = Loop(steps=6, batch=ROWS, seed=2, precision="fp32", log_every=1, validate_every=0)

    def trainer(seed: int) -> pretrain.Trainer:
        return pretrain.Trainer(loop, made(name, seed, dropout=0.1), store, rows, torch.device("cpu"))

    unbroken, stopped, resumed = trainer(0), trainer(0), trainer(1)
    for one in (unbroken, stopped):
        one.fit_statistics()
    steps(unbroken, 6)
    torch.save(steps(stopped, 3).state(), tmp_path / "state")
    resumed.load(torch.load(tmp_path / "state", weights_only=True))
    steps(resumed, 6)
    expected, found = unbroken.method.state_dict(), resumed.method.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    before, after = (next(one.method.encoder.front.parameters()) for one in (stopped, unbroken))
    assert not torch.equal(before, after)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_in_reduced_precision(name, store):
    """As on a GPU: the network in bf16, the loss and its gradients finite, weights and state in fp32."""
    loop = Loop(steps=2, batch=ROWS, precision="bf16", log_every=1, validate_every=0)
    trainer = pretrain.Trainer(loop, made(name), store, np.arange(len(store.contigs)), torch.device("cpu"))
    steps(trainer, 2)
    floats = [value for value in trainer.method.state_dict().values() if value.is_floating_point()]
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in floats)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_one_method_and_opens_with_its_idea(name):
    kind = methods.load(name)
    source = Path(inspect.getfile(kind))
    assert source.stem == name
    assert source.parent == Path(methods.__file__).parent
    first = (ast.get_docstring(ast.parse(source.read_text())) or "").split("\n")[0]
    assert re.fullmatch(r"[A-Z][\w -]*: .+\.", first), f"{source.name}: expected 'Name: idea.', found {first!r}"
    others = {
        f"genossl.methods.{node.module or ''}" if node.level else node.module
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    assert not [other for other in others if other and other.startswith("genossl.methods")]


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_frozen_and_each_has_a_default_and_a_comment(name):
    kind = methods.load(name)
    assert dataclasses.is_dataclass(kind.Settings)
    assert kind.Settings.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(kind.Settings))
    kind.Settings()  # every field has a default
    tree = ast.parse(inspect.getsource(inspect.getmodule(kind)))
    lines = inspect.getsource(inspect.getmodule(kind)).split("\n")
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Settings").body
    assigned = [node for node in body if isinstance(node, ast.AnnAssign)]
    assert len(assigned) == len(dataclasses.fields(kind.Settings))
    for node in assigned:
        assert "  #" in "\n".join(lines[node.lineno - 1 : node.end_lineno]), ast.unparse(node)


@pytest.mark.parametrize("name", NAMES)
def test_its_paper_stands_in_the_menu(name):
    doc = inspect.getdoc(inspect.getmodule(methods.load(name)))
    assert verb.papers(doc)
    menu = verb.run(None)
    at = next(i for i, line in enumerate(menu) if line.startswith(f"{name} "))
    assert all(paper in menu[at + 1] for paper in verb.papers(doc))


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_shows_it_with_its_settings(name):
    assert any(line.startswith(f"{name} ") or line.startswith(f"{name}:") for line in verb.run(None)), verb.run(None)
    shown = "\n".join(verb.run(name))
    for field in dataclasses.fields(methods.load(name).Settings):
        assert field.name in shown


@pytest.mark.parametrize("name", NAMES)
def test_the_method_s_own_preset_serves_it(name):
    """`pretrain --method NAME` needs nothing else; methods of one preset share encoder and loop."""
    kind = methods.load(name)
    preset, found = resolve({"preset": kind.preset}), resolve({"name": name})
    assert (found.name, found.encoder, found.pretrain) == (name, preset.encoder, preset.pretrain)
    assert kind(found.method, Encoder(found.encoder)).length >= found.encoder.width


@pytest.mark.parametrize("preset", ENCODERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_front_end_serves_a_method_or_is_refused_with_the_one_that_does(name, preset, store):
    refused, wanted = "", methods.load(name).preset
    try:
        method = made(name, preset=preset)
    except InputError as error:
        refused = str(error)
    else:
        loss = method.loss(viewed(method, store))
        assert all(term.isfinite() for term in loss.terms.values())
    assert not refused or (preset != wanted and f"--config {wanted}" in refused)


@pytest.mark.parametrize("name", NAMES)
def test_partners_are_bases_row_by_row(name, store):
    method = made(name)
    views = viewed(method, store)
    partners = method.partners(views)
    if partners:
        assert [(len(bases), bases.dtype, bases.dim()) for bases in partners] == [(ROWS, torch.uint8, 2)] * 2
        loss = method.loss(views)
        assert loss.partners is not None
        assert loss.partners.shape == loss.vectors.shape
        assert not loss.partners.requires_grad


def test_an_unknown_method_is_refused_with_the_list():
    with pytest.raises(InputError, match=r"method 'no_such' is unknown; available: .*self_genomenet"):
        methods.load("no_such")


TWELFTH = '''
"""GC: the last state says how much of the window is G or C."""

import dataclasses

import torch

from genossl.genome.windows import Windows
from genossl.pretext.heads import summary
from genossl.pretext.method import Loss, Method


class GC(Method):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Settings:
        length: int = 100  # bases

    def __init__(self, settings, encoder):
        super().__init__(settings, encoder)
        self.head = torch.nn.Linear(encoder.channels, 1)

    @property
    def length(self):
        return self.settings.length

    def sampler(self, store, rows):
        return Windows(store, rows, self.length)

    def views(self, batch, rng):
        return {"window_tokens": batch.tokens}

    def loss(self, views):
        tokens = views["window_tokens"]
        state = summary(self.encoder, tokens)
        share = ((tokens == 1) | (tokens == 2)).float().mean(1, keepdim=True)
        return Loss({"error": (self.head(state) - share).square().mean()}, {}, state.detach())
'''


def test_a_further_method_is_one_file(monkeypatch, tmp_path, tiny_store):
    """Written into a folder of the menu, it is listed, shown, trained, resumed from and embedded with."""
    (tmp_path / "menu").mkdir()
    (tmp_path / "menu" / "twelfth.py").write_text(TWELFTH)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path / "menu")])
    assert "twelfth" in methods.available()

    def genossl(*arguments) -> str:
        found = CliRunner().invoke(cli, list(map(str, arguments)))
        assert found.exit_code == 0, found.output
        return found.output

    run = tmp_path / "run"
    small = ["--set", "pretrain.steps=3", "--set", "pretrain.batch=4", "--set", "encoder.hidden=8"]
    assert "how much of the window is G or C" in genossl("methods")
    assert "length" in genossl("methods", "twelfth")
    assert "window_tokens (100 bases)" in genossl("preview", tiny_store, "--method", "twelfth")
    genossl("pretrain", tiny_store, "--out", run, "--method", "twelfth", *small)
    table = tmp_path / "vectors.npy"
    genossl("embed", run, tiny_store, "--out", table)
    assert np.load(table).shape[1] == 256
