"""What the commands share: a verb's help with its settings, options, and where settings come from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from genossl import shipped
from genossl.cli import choices, talk
from genossl.errors import InputError

EPILOG = (
    "Exit codes: 0 done; 2 your input is wrong (one line says what); 75 stopped early, run again to go on; "
    "130 interrupted; 141 the reader of the output went away; 1 a bug."
)
PATH = click.Path(path_type=Path)


class Verb(click.Command):
    """A command whose help ends with the settings of its verb."""

    settings: tuple[tuple[str, str, str], ...] = ()  # title, file, class; read as text, so that help imports nothing

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from genossl.config import described

        parts = [
            (title, [line.partition("  # ") for line in described((shipped.HOME / module).read_text(), name)])
            for title, module, name in self.settings
        ]
        for i, (title, rows) in enumerate(parts):
            # a key that a later part gives another default stands there alone
            later = {field.partition(":")[0] for _, more in parts[i + 1 :] for field, _, _ in more}
            with formatter.section(title):
                formatter.write_dl([(f, told) for f, _, told in rows if f.partition(":")[0] not in later], col_max=60)
        super().format_epilog(ctx, formatter)


def verb_command(*settings: tuple[str, str, str]) -> Callable[[Callable[..., None]], Verb]:
    """Make a function the command of the verb of its name; `settings` is what its help lists (`Verb.settings`)."""

    def decorate(function: Callable[..., None]) -> Verb:
        command = click.command(epilog=EPILOG, cls=Verb)(function)
        command.settings = settings
        return talk.options(command)

    return decorate


_config = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    shell_complete=choices.path,
    help="YAML file; the section named like the verb is used.",
)
settings_option = click.option("--settings", metavar="JSON", help="Settings as one JSON object, over --config.")
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="[SECTION.]KEY=VALUE",
    shell_complete=choices.setting,
    help="One setting, over all else; repeatable. Keys: below.",
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=0), default=0, show_default=True, help="CPU threads; 0: as torch finds."
)


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that `verb_settings` takes: config_file, settings and assignments."""
    return _config(settings_option(set_option(command)))


def verb_settings(
    verb: str, config_file: str | None, settings: str | None, assignments: tuple[str, ...], **short: Any
) -> dict[str, Any]:
    """The verb's section of the file, the JSON object, the single assignments, and options of their own, in this order.

    short: by the names of the settings; None where the option was not given.
    """
    from genossl import config

    mapping = (config.read_yaml(config_file).get(verb) or {}) if config_file else {}
    if not isinstance(mapping, dict):
        raise InputError(f"{config_file}: {verb}: expected key: value pairs, found {mapping!r}")
    mapping = config.merge(mapping, json_object(settings))
    nested = {verb: mapping}
    for assignment in assignments:
        config.set_path(nested, assignment if assignment.partition("=")[0].count(".") else f"{verb}.{assignment}")
    if extra := [name for name in nested if name != verb]:
        raise InputError(f"--set {extra[0]}: expected {verb}.key=value")
    return nested[verb] | {name: value for name, value in short.items() if value is not None}


def of_kind(mapping: dict[str, Any], labels: Path, given: str | None) -> dict[str, Any]:
    """Settings with the kind that was given, else their own, else that of the labels' task."""
    from genossl.genome.labels import of_task

    kind = given or mapping.get("kind") or of_task(labels).get("kind")
    return mapping | ({"kind": kind} if kind else {})


def part_of(text: str | None) -> tuple[int, int] | None:
    """(i, n) of "i/n"."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match:
        raise InputError(f"--part {text}: expected I/N, such as 1/8")
    return int(match[1]), int(match[2])


def json_object(text: str | None) -> dict[str, Any]:
    """The object that --settings gives; none where it is not given."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, too long a number, too deep
        raise InputError(f"--settings: is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError("--settings: expected a JSON object")
    return value


def recipe_of(config_file: str | None, settings: str | None, assignments: tuple[str, ...], method: str | None) -> dict:
    """The settings of a run: a preset or file, then the JSON object, then the single assignments."""
    from genossl import config, recipe

    mapping: dict[str, Any] = {}
    if config_file in recipe.presets():
        mapping = {"preset": config_file}  # in place of the default one, not on top of it
    elif config_file:
        mapping = recipe.preset(config_file)
    mapping = config.merge(mapping, json_object(settings))
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        if key and "." not in key:
            place = recipe.place_of(key, method or mapping.get("name"))
            hint = f"did you mean {place}={value}?" if place else "such as pretrain.steps=500; --help lists them"
            raise InputError(f"--set {assignment}: expected pretrain.KEY, encoder.KEY or method.KEY, {hint}")
        config.set_path(mapping, assignment)
    return mapping | ({"name": method} if method else {})
