"""What the Tab key offers, by click's own interface and in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from genossl import methods, shipped
from genossl.cli import cli
from genossl.config import described


def offered(*words: str, begun: str = "") -> list[str]:
    """Values that complete `genossl WORDS BEGUN`."""
    complete = ShellComplete(cli, {}, "genossl", "_GENOSSL_COMPLETE")
    return [item.value for item in complete.get_completions(list(words), begun)]


def kinds(*words: str, begun: str = "") -> set[str]:
    complete = ShellComplete(cli, {}, "genossl", "_GENOSSL_COMPLETE")
    return {item.type for item in complete.get_completions(list(words), begun)}


def test_verbs_and_options() -> None:
    assert offered() == sorted(cli.commands)
    assert offered(begun="pre") == ["predict", "pretrain", "preview"]
    assert {"--method", "--config", "--set", "--device", "--quiet"} <= set(offered("pretrain", "store", begun="--"))


def test_methods_and_presets() -> None:
    assert offered("pretrain", "s", "--method") == methods.available()
    assert offered("methods", begun="sim") == ["simclr"]
    assert offered("pretrain", "s", "--config", begun="paper") == ["paper_1000", "paper_150"]
    assert kinds("pretrain", "s", "--config", begun="mine.y") == {"file"}  # no preset, so a file
    assert set(offered("preview", "s", "--config")) == set(shipped.presets())


def test_choices_of_options() -> None:
    assert offered("stats", "x.fa", "--by") == ["genome", "split", "contig", "all"]
    assert offered("completion") == ["bash", "zsh", "fish"]


def test_encoders_and_files() -> None:
    assert offered("embed", begun="kmer") == [f"kmer:{k}" for k in range(1, 9)]
    assert kinds("embed") == kinds("embed", begun="my_run/") == {"file"}
    for words in (["embed", "gc"], ["ingest"], ["score", "run"], ["predict", "head"], ["stats"], ["report"]):
        assert kinds(*words) == {"file"}, words


def test_settings_of_the_verb_its_parts_and_the_method() -> None:
    embed = described((shipped.HOME / "verbs" / "embed.py").read_text(), "Settings")
    assert offered("embed", "gc", "x.fa", "--set") == [f"{line.partition(':')[0]}=" for line in embed]
    both = set(offered("probe", "v.npy", "--set"))
    assert {"shots=", "heads=", "cap="} <= both  # of the task and of the heads
    keys = offered("pretrain", "s", "--method", "simclr", "--set")
    assert {"pretrain.steps=", "encoder.k=", "method.temperature=", "method.group="} <= set(keys)
    assert offered("pretrain", "s", "--set", begun="pretrain.st") == ["pretrain.steps="]


def test_nothing_heavy_is_imported_for_it() -> None:
    code = (
        "import sys; from genossl.cli import main\ntry:\n    main()\nfinally:\n"
        "    print(sorted({'torch', 'numpy', 'pandas', 'sklearn', 'pydantic', 'scipy'} & set(sys.modules)))"
    )
    asked = {"_GENOSSL_COMPLETE": "bash_complete", "COMP_WORDS": "genossl pretrain s --set method.", "COMP_CWORD": "4"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert "plain,method.distance=" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_in_bash(call, tmp_path: Path) -> None:
    """The script as printed, in a bash of its own, with the words that a user has typed so far."""
    code, script, err = call("completion", "bash")
    assert (code, err) == (0, "")
    (tmp_path / "genossl").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from genossl.cli import main; main()" "$@"\n'
    )
    (tmp_path / "genossl").chmod(0o755)
    asking = (
        script + '\ncompopt() { echo option "$@"; }\nCOMP_WORDS=(genossl pretrain s --set pretrain.st) COMP_CWORD=4\n'
        '_genossl_completion genossl\necho "${COMPREPLY[@]}"\n'
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", asking], capture_output=True, text=True, env=environment)
    # no blank behind the = that the value follows
    assert (done.stdout, done.stderr) == ("option -o nospace\npretrain.steps=\n", "")


@pytest.mark.parametrize("shell,part", [("zsh", "#compdef genossl"), ("fish", "complete --no-files --command genossl")])
def test_other_shells_have_scripts_too(call, shell: str, part: str) -> None:
    code, script, _ = call("completion", shell)
    assert code == 0
    assert part in script
    assert "_GENOSSL_COMPLETE=" in script
