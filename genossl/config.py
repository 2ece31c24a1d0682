"""A YAML section becomes a frozen settings object; all mistakes are named in one message."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
import reprlib
from pathlib import Path
from typing import Any, TypeVar

from genossl.errors import InputError

T = TypeVar("T")
LARGEST_YAML = 1 << 20  # bytes; a configuration is a page of text
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML 1.2 mapping, read without code tags, aliases or duplicate keys.

    Raises InputError with file and line.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > LARGEST_YAML:
        raise InputError(f"{path}: {path.stat().st_size} bytes; a configuration has at most {LARGEST_YAML}")
    try:
        value = _load(path.read_text(encoding="utf-8"))
    except _Alias as alias:
        raise InputError(f"{path} line {alias.line}: aliases ({alias}) are not accepted") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"{path} line {mark.line + 1 if mark else '?'}: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not YAML ({str(error).splitlines()[0]})") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a mapping of sections, found {type(value).__name__}")
    if "__use_yte__" in value:
        raise InputError(f"{path}: the key __use_yte__ would run code; remove it")
    return value


class _Alias(Exception):
    """An alias in YAML: a few lines of them stand for more than memory holds."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(name)
        self.line = line


def _load(text: str) -> Any:
    """YAML 1.2 without code; raises _Alias, and what ruamel and Python raise for what is none."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent

    yaml = YAML(typ="safe", pure=True)
    for event in yaml.parse(text):
        if isinstance(event, AliasEvent):
            raise _Alias(f"*{event.anchor}", event.start_mark.line + 1)
    return yaml.load(text)


def mistakes(cls: type, mapping: Any, where: str) -> list[str]:
    """One sentence for each thing wrong with `mapping` as fields of the dataclass `cls`."""
    return _validate(cls, mapping, where)[1]


def build(cls: type[T], mapping: Any, where: str) -> T:
    """The settings object; raises one InputError that lists every mistake."""
    value, wrong = _validate(cls, mapping, where)
    if wrong:
        raise InputError("; ".join(wrong))
    return value


def _validate(cls: type[T], mapping: Any, where: str) -> tuple[Any, list[str]]:
    from pydantic import TypeAdapter, ValidationError

    if mapping is None:
        mapping = {}
    if not isinstance(mapping, dict):
        return None, [f"{where}: expected key: value pairs, found {_show(mapping)}"]
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    known = list(fields)
    wrong, usable = [], {}
    for key, value in mapping.items():
        if value is None and key in known:
            value = _none_of(fields[key])
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            wrong.append(f"{where}.{key}: unknown key; {hint}")
        elif not _is_finite(value):
            wrong.append(f"{where}.{key}: expected finite numbers, found {_show(value)}")
        else:
            usable[key] = value
    value = None
    try:
        value = TypeAdapter(cls).validate_python(usable)
    except ValidationError as error:
        told = set()
        for item in error.errors():
            key, *inside = item["loc"] or ("",)
            path = ".".join([str(key), *(str(i) for i in inside if isinstance(i, int))])
            if path and path in told:  # a field of two types complains once for each
                continue
            told.add(path)
            message = item["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            message = message.replace("a valid tuple", "a list")
            wrong.append(f"{where}.{path}: {message}, found {_show(item['input'])}" if path else f"{where}: {message}")
    return value, wrong


def _none_of(field: dataclasses.Field[Any]) -> Any:
    """What a key without a value says: no item where it has a list or a mapping, whose lines may all be comments."""
    made = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return type(made)() if isinstance(made, dict | list | tuple) else None


def _is_finite(value: Any) -> bool:
    """Whether no number in it is .inf or .nan."""
    waiting = [value]  # in place of recursion, which depth would end
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, float) and not math.isfinite(value):
            return False
    return True


def _show(value: Any) -> str:
    """As in Python, a few words of it at most."""
    return _SHORT.repr(value)


def set_path(mapping: dict[str, Any], assignment: str) -> None:
    """Apply one `section.key=value` of the command line in place; the value is read as YAML."""
    from ruamel.yaml.error import YAMLError

    path, equals, text = assignment.partition("=")
    keys = path.split(".")
    if not equals or not all(keys) or len(keys) < 2:
        raise InputError(f"--set {assignment}: expected section.key=value")
    for key in keys[:-1]:
        if mapping.get(key) is None:  # absent, or a section without a line
            mapping[key] = {}
        mapping = mapping[key]
        if not isinstance(mapping, dict):
            raise InputError(f"--set {assignment}: {key} is no section")
    try:
        mapping[keys[-1]] = _load(text)
    except _Alias as alias:
        raise InputError(f"--set {assignment}: aliases ({alias}) are not accepted") from None
    except (YAMLError, ValueError, RecursionError):
        raise InputError(f"--set {assignment}: the value is not YAML") from None


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` laid on top, section by section; neither is changed.

    A section without a line adds nothing and takes nothing away.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value or {}) if isinstance(old, dict) and isinstance(value, dict | None) else value
    return merged


def described(source: str, name: str) -> list[str]:
    """`key: type = default  # comment` for each field of the dataclass `name` in a module's source, unimported."""
    tree, lines = ast.parse(source), source.splitlines()
    (found,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    fields = []
    for node in found.body:
        if isinstance(node, ast.AnnAssign):
            written = lines[node.lineno - 1 : node.end_lineno]
            comments = [line.partition("  # ")[2] for line in written if "  # " in line]
            fields.append(f"{ast.unparse(node)}  # {' '.join(comments)}")
    return fields
