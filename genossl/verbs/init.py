"""A folder for a collection of one's own: configuration, sheets, profiles, and a Snakefile that includes genossl's.

All that is written is for people to edit, so nothing of it has a provenance. The workflow itself stays where genossl
is installed: a project moves on with the package.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from genossl import files, shipped
from genossl.errors import InputError
from genossl.genome.source import sequence_files, stem

# what the demo has for speed or for show: lines of config.yaml that a project finds as comments
OF_THE_DEMO = ("one_length", "same_strand", "paper", "rates", "steps", "passes")
SNAKEFILE = """\
# The workflow of the genossl that is installed: `genossl --version`. Rules of your own go below.
from genossl import shipped


include: str(shipped.workflow() / "Snakefile")


# what snakemake makes when nothing is named; of a file that is included the default target does not count
rule project:
    default_target: True
    input:
        rules.all.input,
"""
GENOMES = "genome\tpath\tsplit\n"
GENOMES_HELP = """\
# Files are looked for beside this sheet; further columns are kept. Splits: train, validation, test, pretrain, or none.
# Escherichia_coli\tgenomes/ecoli.fa.gz\ttrain
"""
TASKS = """\
task\tpath\tkind\tstrand\tdescription
# Labelled sets, such as the one below; without any, encoders are trained and nothing is measured. genossl tasks --help
# species\tlabels/reads.tsv\tclasses\tinvariant\tWhich species does a read come from?
"""
GITIGNORE = "results/\nlogs/\n.snakemake/\n"
README = """\
# {name}

1. Name your genomes in `genomes.tsv` and your labelled sets, if there are any, in `tasks.tsv`.
2. `genossl check config.yaml` says what is wrong and what would be done; `config.yaml` says what each setting is.
3. `snakemake --cores 2` does it, and goes on after a stop (on Slurm: `snakemake --workflow-profile profiles/slurm`).
4. Open `results/{name}/report.html`. `genossl doctor` tells what is missing on a machine.
"""


def run(folder: str | Path, genomes: str | Path | None = None) -> list[Path]:
    """Write a project into a folder that has none; returns the files. genomes: a folder of sequence files to list.

    Raises InputError where one of the files is there already.
    """
    folder = Path(folder)
    written = project(folder, genomes)
    if there := [name for name in written if (folder / name).exists()]:
        raise InputError(f"{folder / there[0]}: is there already; expected a folder without a project")
    for name, text in written.items():
        with files.atomic(folder / name, "w") as stream:
            stream.write(text)
    return [folder / name for name in written]


def project(folder: Path, genomes: str | Path | None) -> dict[str, str]:
    """The text of each file, by its path in the project."""
    name = collection(folder)
    home = shipped.workflow()
    found = {
        "config.yaml": configuration((home / "config.yaml").read_text(encoding="utf-8"), name),
        "genomes.tsv": GENOMES + (_listed(folder, Path(genomes)) if genomes is not None else GENOMES_HELP),
        "tasks.tsv": TASKS,
        "README.md": README.format(name=name),
        ".gitignore": GITIGNORE,
    }
    for path in sorted((home / "workflow" / "profiles").glob("*/config.yaml")):
        place = f"profiles/{path.parent.name}/config.yaml"
        found[place] = path.read_text(encoding="utf-8").replace("workflow/profiles/", "profiles/")
    return found | {"Snakefile": SNAKEFILE}


def collection(folder: Path) -> str:
    """What the results are called: as the folder, with the letters that a name may have."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", folder.resolve().name).lstrip(".-")
    return name if files.NAME.fullmatch(name) else "collection"


def configuration(demo: str, name: str) -> str:
    """The demo's config.yaml as a project's: its own name and sheets, and what the demo has for speed as comments."""
    for key, value in (("collection", name), ("genomes", "genomes.tsv"), ("tasks", "tasks.tsv")):
        old = re.search(rf"(?m)^{key}: \S+ *", demo)
        assert old, key
        demo = demo.replace(old[0], f"{key}: {value} ".ljust(len(old[0])), 1)  # the comments stay in their column
    return re.sub(rf"(?m)^  (?=(?:{'|'.join(OF_THE_DEMO)}):)", "  # ", demo)


def _listed(folder: Path, genomes: Path) -> str:
    """Rows of a sheet in `folder`, one for each file in the folder `genomes`; all may be learnt from."""
    if not genomes.is_dir():
        raise InputError(f"{genomes}: is no folder, expected one of sequence files")
    rows = {stem(path): path.resolve() for path in sequence_files(genomes)}
    names = [stem(path) for path in sequence_files(genomes)]
    if twice := [name for name in rows if names.count(name) > 1]:
        raise InputError(f"{genomes}: two files would be the genome {twice[0]!r}; rename one")
    return "".join(files.tsv_line([name, _relative(path, folder.resolve()), ""]) for name, path in rows.items())


def _relative(path: Path, folder: Path) -> str:
    """From the sheet's folder where the file is in or beside it, since projects are moved; else from the root."""
    if path.is_relative_to(folder.parent):
        return os.path.relpath(path, folder)
    return str(path)
