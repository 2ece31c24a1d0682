"""Presets and the recipes that they resolve to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import TINY

from genossl import methods, recipe
from genossl.errors import InputError
from genossl.model.encoder import Encoder
from genossl.pretext.losses import info_nce


def test_all_presets_resolve() -> None:
    assert recipe.presets() == sorted(recipe.presets())
    assert {"default", "short", "kmer_mlp", "paper_150", "paper_1000"} <= set(recipe.presets())
    for name in recipe.presets():
        resolved = recipe.resolve({"preset": name})
        assert resolved.name in methods.available()
        assert resolved == recipe.resolve(recipe.preset(name) | {"preset": name})


@pytest.mark.parametrize(
    "name,width,stride,gap,length,splits,batch,steps",
    [("paper_150", 24, 6, 3, 150, 18, 512, 144_000), ("paper_1000", 40, 20, 1, 1000, 47, 128, 400_000)],
)
def test_paper_presets_are_as_published(
    name: str, width: int, stride: int, gap: int, length: int, splits: int, batch: int, steps: int
) -> None:
    r = recipe.resolve({"preset": name})
    loop, shape, own = r.pretrain, r.encoder, r.method
    assert (loop.batch, loop.steps, loop.lr, loop.schedule) == (batch, steps, 1e-4, "constant")
    assert (loop.warmup, loop.weight_decay, loop.clip, loop.epsilon) == (0, 0, 0, 1e-7)
    assert (shape.front, shape.width, shape.stride, shape.channels) == ("conv", width, stride, 1024)
    assert (shape.rnn, shape.context) == ("lstm", 512)
    assert (own.length, own.distance, own.splits, own.temperature, own.projection) == (length, 0, 0, 0, 0)
    assert (own.reverse_complement, own.same_contig_negatives, own.group, own.most_n) == (True, True, 0, 1)
    encoder = Encoder(shape)
    assert encoder.gap == gap
    assert methods.load(r.name)(own, encoder).most_splits == splits


def test_the_own_column_is_masked() -> None:
    """One row of each half: with its own column a row would choose between two, without it it has one candidate."""
    torch.manual_seed(0)
    contrast = info_nce(torch.randn(2, 4), torch.randn(2, 4), 0)
    assert contrast.loss == 0
    assert contrast.candidates == 1


def test_own_settings_lie_over_the_preset() -> None:
    resolved = recipe.resolve({"preset": "paper_150", "pretrain": {"steps": 7}, "method": {"length": 300}})
    assert (resolved.pretrain.steps, resolved.pretrain.batch, resolved.method.length) == (7, 512, 300)
    assert resolved == recipe.resolve(
        {"preset": "paper_150", "pretrain": {"steps": 7}, "self_genomenet": {"length": 300}, "encoder": None}
    )


def test_a_preset_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: self_genomenet\npretrain: {steps: 3}\n")
    assert recipe.resolve({"preset": str(path)}).pretrain == recipe.Loop(steps=3)
    path.write_text("preset: paper_150\n")
    with pytest.raises(InputError, match=r"mine\.yaml: names a preset itself"):
        recipe.resolve({"preset": str(path)})


@pytest.mark.parametrize(
    "mapping,message",
    [
        ({"preset": "papier"}, "preset 'papier' is unknown; expected .*default, .*paper_150.* or a .yaml file"),
        ({"preset": "../presets/default"}, "preset '../presets/default' is unknown"),
        ({"preset": "nowhere.yaml"}, "nowhere.yaml: no such file"),
        ({"name": "clip9"}, "method 'clip9' is unknown; available: .*self_genomenet"),
        (
            {"pretrian": {}},
            "pretrian: unknown in a recipe; known: preset, name, pretrain, encoder, method, self_genomenet",
        ),
        ({"self_genomenet": 5}, "self_genomenet: expected key: value pairs, found 5"),
        ({"method": [1]}, r"method: expected key: value pairs, found \[1\]"),
        ({"encoder": 5}, "encoder: expected key: value pairs, found 5"),
        ({"pretrain": {"train_splits": ["train", "test"]}}, "test genomes never enter pretraining"),
        ({"pretrain": {"validation_splits": ["test"]}}, "test genomes never enter pretraining"),
        ({"pretrain": {"validation_splits": ["train"]}}, "split 'train' is both learnt from and validated on"),
        ({"pretrain": {"warmup": 1}}, "warmup must be at least 0 and less than 1"),
        ({"pretrain": {"batch": 0}}, "batch must be at least 1"),
        ({"pretrain": {"lr": -1}}, "lr must not be negative"),
        ({"method": {"most_n": 2}}, "most_n from 0 to 1"),
        ({"pretrain": {"batch": 8}, "method": {"group": 3}}, "group 3: is no divisor of pretrain.batch 8"),
    ],
)
def test_what_is_refused(mapping: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe.resolve(mapping)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        recipe.resolve({"pretrain": {"step": 1}, "encoder": {"k": 99}, "method": {"lenght": 3}, "more": 1})
    for part in ("did you mean steps?", "k must be from 1 to 8", "did you mean length?", "more: unknown in a recipe"):
        assert part in str(error.value)


def test_resolving_changes_no_input() -> None:
    mapping = {"preset": "short", **TINY, "method": {"length": 120}}
    before = repr(mapping)
    recipe.resolve(mapping)
    assert repr(mapping) == before
