"""Fuzz one target: python tests/fuzz/run.py TARGET [options of libFuzzer, such as -max_total_time=60].

Inputs that reach new code go to .fuzz/TARGET, one that crashes beside it. When it is mended it goes into the corpus,
as found_... Options: https://llvm.org/docs/LibFuzzer.html.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run atheris on what the first argument names."""
    try:
        import atheris
    except ImportError:
        sys.exit("fuzz: needs atheris, which make fuzz installs")
    with atheris.instrument_imports(include=["genossl", "Bio"]):
        import targets

    name, *options = sys.argv[1:]
    found = Path.cwd() / ".fuzz" / name
    found.mkdir(parents=True, exist_ok=True)
    options = [f"-artifact_prefix={found.parent}/{name}-", "-print_final_stats=1", "-max_len=4096", *options]
    atheris.Setup([sys.argv[0], *options, str(found), str(HERE / "corpus" / name)], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
