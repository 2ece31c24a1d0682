"""YAML in, settings out; every mistake in one message."""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import pytest

from genossl import config
from genossl.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = 10
    rate: float = 0.5
    kind: Literal["last", "mean"] = "last"
    shots: tuple[int, ...] = (1, 5)

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError("steps must not be negative")


def read(tmp_path: Path, text: str | bytes) -> dict[str, Any]:
    path = tmp_path / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.read_yaml(path)


def test_yaml_1_2(tmp_path: Path) -> None:
    text = "a: 1e-4\nb: 1.0e-4\nc: 1_000\nd: no\ne: 0o17\nf: 017\ng: true\nh: {on: 1}\ni: 12:30\n"
    value = read(tmp_path, text)
    assert (value["a"], value["b"], value["d"], value["e"], value["g"]) == (1e-4, 1e-4, "no", 15, True)
    assert (value["f"], value["h"], value["i"]) == (17, {"on": 1}, "12:30")


def test_a_list_or_mapping_whose_lines_are_all_comments_is_empty() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class More(Settings):
        models: dict[str, str] = dataclasses.field(default_factory=lambda: {"a": "b"})
        own: dict[str, str] = dataclasses.field(default_factory=dict)
        presets: tuple[str, ...] | None = None

    found = config.build(More, {"shots": None, "own": None, "presets": None}, "probe")
    assert (found.shots, found.own, found.presets) == ((), {}, None)
    assert config.build(More, {"models": None}, "probe").models == {}
    assert config.mistakes(More, {"steps": None}, "probe") == ["probe.steps: expected a valid integer, found None"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {}


@pytest.mark.parametrize(
    "text,message",
    [
        ("a: 1\nb: 2\na: 3\n", r'c\.yaml line 3: found duplicate key "a"'),
        ("s:\n  a: 1\n  a: 3\n", r'c\.yaml line 3: found duplicate key "a"'),
        ("a: &x 1\nb: *x\n", r"c\.yaml line 2: aliases \(\*x\) are not accepted"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", r"c\.yaml line 3: aliases"),
        ("__use_yte__: true\n", "__use_yte__ would run code"),
        ("- 1\n- 2\n", "expected a mapping of sections, found list"),
        ("just text\n", "expected a mapping of sections, found str"),
        ("a: [1, 2\n", r"c\.yaml line 2: "),
        ("a: b: c\n", r"c\.yaml line 1: "),
        ("a: !!python/object/apply:os.system [ls]\n", r"c\.yaml line 1: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", r"c\.yaml line 2: "),
        (b"a: \xff\n", r"c\.yaml: is not YAML"),
        ("a: \x07\n", r"c\.yaml: is not YAML|c\.yaml line 1"),
        ("{a: " * 700 + "1" + "}" * 700, r"c\.yaml: is not YAML \(maximum recursion"),
        ("a: " + "x" * (1 << 20), r"c\.yaml: 1048579 bytes; a configuration has at most 1048576"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.yaml: no such file"):
        config.read_yaml(tmp_path / "x.yaml")


def test_build() -> None:
    assert config.build(Settings, None, "probe") == Settings()
    built = config.build(Settings, {"steps": 1e3, "shots": [1, 2], "kind": "mean"}, "probe")
    assert built == Settings(steps=1000, shots=(1, 2), kind="mean")
    with pytest.raises(dataclasses.FrozenInstanceError):
        built.steps = 3  # type: ignore[misc]


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        config.build(
            Settings, {"step": 1, "wholly_other": 2, "rate": "fast", "kind": "max", "shots": [1, "x"]}, "probe"
        )
    message = str(error.value)
    assert "probe.step: unknown key; did you mean steps?" in message
    assert "probe.wholly_other: unknown key; known: steps, rate, kind, shots" in message
    assert "probe.rate: " in message
    assert "found 'fast'" in message
    assert "probe.kind: expected 'last' or 'mean', found 'max'" in message
    assert "probe.shots.1: " in message
    assert "\n" not in message


def test_what_the_settings_themselves_refuse() -> None:
    with pytest.raises(InputError) as error:
        config.build(Settings, {"steps": -1}, "probe")
    assert str(error.value) == "probe: steps must not be negative"
    assert config.mistakes(Settings, {"steps": -1, "x": 0}, "probe") == [
        "probe.x: unknown key; known: steps, rate, kind, shots",
        "probe: steps must not be negative",
    ]
    assert config.mistakes(Settings, {"steps": 1}, "probe") == []


@pytest.mark.parametrize("text", ["rate: .inf", "rate: -.inf", "rate: .nan", "shots: [1, .nan]"])
def test_numbers_that_are_not_finite(tmp_path: Path, text: str) -> None:
    mapping = read(tmp_path, text) | {"steps": "many"}
    with pytest.raises(InputError, match=r"probe\.(rate|shots): expected finite numbers, found .*; probe\.steps: "):
        config.build(Settings, mapping, "probe")


def test_what_was_found_is_shown_in_a_few_words() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for found in ("x" * 10_000_000, list(range(1_000_000)), deep):
        for mapping in ({"rate": found}, found):
            with pytest.raises(InputError) as error:
                config.build(Settings, mapping, "probe")
            assert len(str(error.value)) < 500


@pytest.mark.parametrize("wrong", [5, "text", [1], True])
def test_a_section_that_is_none(wrong: Any) -> None:
    with pytest.raises(InputError, match="probe: expected key: value pairs, found"):
        config.build(Settings, wrong, "probe")


def test_set_path() -> None:
    mapping: dict[str, Any] = {"a": {"b": 1}, "empty": None}
    for assignment in ("a.b=2", "a.c=1e-4", "new.deep.key=[1, 2]", "empty.x=text", "a.equals=x=y", "a.nothing="):
        config.set_path(mapping, assignment)
    assert mapping == {
        "a": {"b": 2, "c": 1e-4, "equals": "x=y", "nothing": None},
        "new": {"deep": {"key": [1, 2]}},
        "empty": {"x": "text"},
    }


@pytest.mark.parametrize(
    "assignment,message",
    [
        ("a.b", "expected section.key=value"),
        ("a=1", "expected section.key=value"),
        (".b=1", "expected section.key=value"),
        ("a..b=1", "expected section.key=value"),
        ("", "expected section.key=value"),
        ("a.b.c=1", "b is no section"),
        ("a.b=[1", "the value is not YAML"),
        ("a.b=[&x 1, *x]", r"--set a\.b=\[&x 1, \*x\]: aliases \(\*x\) are not accepted"),
        ("a.b=" + "9" * 5000, "the value is not YAML"),
        ("a.b=" + "[" * 1000, "the value is not YAML"),
    ],
)
def test_assignments_that_are_refused(assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config.set_path({"a": {"b": 1}}, assignment)


def test_merge_lays_one_over_the_other_and_changes_neither() -> None:
    base = {"a": {"x": 1, "deep": {"y": 2}}, "b": 3, "list": [1, 2]}
    over = {"a": {"deep": {"z": 4}}, "b": {"now": "a section"}, "list": [9], "c": None}
    before = deepcopy((base, over))
    merged = config.merge(base, over)
    assert merged == {"a": {"x": 1, "deep": {"y": 2, "z": 4}}, "b": {"now": "a section"}, "list": [9], "c": None}
    assert (base, over) == before


def test_a_section_without_a_line_takes_nothing_away() -> None:
    assert config.merge({"a": {"x": 1}}, {"a": None}) == {"a": {"x": 1}}
