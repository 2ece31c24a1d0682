"""`genossl completion`: of the command line itself, hence a command without a verb."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from genossl.cli.options import verb_command


@verb_command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete verbs, options, methods, presets and settings at the Tab key.

    For bash: eval "$(genossl completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc, with zsh; fish: genossl
    completion fish > ~/.config/fish/completions/genossl.fish.
    """
    made = get_completion_class(shell)
    assert made is not None
    group = click.get_current_context().find_root().command
    script = made(group, {}, "genossl", "_GENOSSL_COMPLETE").source()
    # click's bash puts a blank behind key=, before the value
    click.echo(script.replace("COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *= ]] && compopt -o nospace"))
