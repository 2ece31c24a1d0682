"""The command line: one subcommand per verb. A verb is imported only when it is called, so that help comes at once."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click

from genossl import __version__, files
from genossl.errors import InputError, Stopped

HOME = Path(__file__).parent
EPILOG = (
    "Exit codes: 0 done; 2 your input is wrong (one line says what); 75 stopped early, run again to go on; "
    "130 interrupted; 1 a bug."
)
PATH = click.Path(path_type=Path)
# whose settings a verb's help lists: title, module, dataclass; read as text, so that help imports nothing
SETTINGS = {
    "ingest": [("Settings (--set KEY=VALUE, or ingest: in --config)", "verbs/ingest.py", "Settings")],
    "audit": [("Settings (--set KEY=VALUE, or audit: in --config)", "verbs/audit.py", "Settings")],
    "pretrain": [
        ("Settings (--set pretrain.KEY=VALUE)", "recipe.py", "Loop"),
        ("Settings (--set encoder.KEY=VALUE)", "model/encoder.py", "Settings"),
    ],
    "embed": [("Settings (--set KEY=VALUE, or embed: in --config)", "verbs/embed.py", "Settings")],
    "strands": [
        ("Settings of the rows (--set KEY=VALUE)", "evaluation/tasks.py", "Settings"),
        ("Settings (--set KEY=VALUE, or strands: in --config)", "verbs/strands.py", "Settings"),
    ],
    "probe": [
        ("Settings (--set KEY=VALUE, or probe: in --config)", "evaluation/tasks.py", "Settings"),
        ("Settings of the heads (--set KEY=VALUE)", "verbs/probe.py", "Settings"),
    ],
    "finetune": [
        ("Settings (--set KEY=VALUE, or finetune: in --config)", "evaluation/tasks.py", "Settings"),
        ("Settings of the training (--set KEY=VALUE)", "verbs/finetune.py", "Settings"),
    ],
    "predict": [("Settings (--set KEY=VALUE, or predict: in --config)", "verbs/predict.py", "Settings")],
    "cluster": [
        ("Settings (--set KEY=VALUE, or cluster: in --config)", "verbs/cluster.py", "Settings"),
        ("Settings of the algorithms (--set KEY=VALUE)", "evaluation/clusters.py", "Settings"),
    ],
    "label": [
        ("Settings (--set KEY=VALUE, or label: in --config)", "verbs/label.py", "Settings"),
        ("Settings of the rules (--set KEY=VALUE)", "evaluation/yarowsky.py", "Settings"),
    ],
    "retrieve": [("Settings (--set KEY=VALUE, or retrieve: in --config)", "verbs/retrieve.py", "Settings")],
    "score": [("Settings (--set KEY=VALUE, or score: in --config)", "verbs/score.py", "Settings")],
    "report": [("Settings (--set KEY=VALUE, or report: in --config)", "verbs/report.py", "Settings")],
}


class Verb(click.Command):
    """A command whose help ends with the settings of its verb."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from genossl.config import described

        parts = [
            (title, [line.partition("  # ") for line in described((HOME / module).read_text(), name)])
            for title, module, name in SETTINGS.get(str(self.name), [])
        ]
        for i, (title, rows) in enumerate(parts):
            # a key that a later part gives another default stands there alone
            later = {field.partition(":")[0] for _, more in parts[i + 1 :] for field, _, _ in more}
            with formatter.section(title):
                formatter.write_dl([(f, told) for f, _, told in rows if f.partition(":")[0] not in later], col_max=60)
        super().format_epilog(ctx, formatter)


config_option = click.option(
    "--config", "config_file", metavar="FILE", help="YAML file; the section named like the verb is used."
)
settings_option = click.option("--settings", metavar="JSON", help="Settings as one JSON object, over --config.")
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="[SECTION.]KEY=VALUE",
    help="One setting, over all else; repeatable. Keys: below.",
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=0), default=0, show_default=True, help="CPU threads; 0: as torch finds."
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--quiet", is_flag=True, help="No progress, only warnings and errors.")
@click.version_option(__version__, prog_name="genossl")
def cli(quiet: bool) -> None:
    """Self-supervised learning on DNA, from FASTA to a verdict."""
    files.quiet = quiet
    logging.basicConfig(format="genossl: %(message)s", level=logging.WARNING if quiet else logging.INFO, force=True)


def _settings(verb: str, config_file: str | None, settings: str | None, assignments: tuple[str, ...]) -> dict[str, Any]:
    """The verb's section of the file, the JSON object and the single assignments, in this order."""
    from genossl import config

    mapping = (config.read_yaml(config_file).get(verb) or {}) if config_file else {}
    if not isinstance(mapping, dict):
        raise InputError(f"{config_file}: {verb}: expected key: value pairs, found {mapping!r}")
    mapping = config.merge(mapping, _json(settings))
    nested = {verb: mapping}
    for assignment in assignments:
        config.set_path(nested, assignment if assignment.partition("=")[0].count(".") else f"{verb}.{assignment}")
    if extra := [name for name in nested if name != verb]:
        raise InputError(f"--set {extra[0]}: expected {verb}.key=value")
    return nested[verb]


def _of_kind(mapping: dict[str, Any], labels: Path, given: str | None) -> dict[str, Any]:
    """Settings with the kind that was given, else their own, else that of the labels' task."""
    from genossl.genome.labels import of_task

    kind = given or mapping.get("kind") or of_task(labels).get("kind")
    return mapping | ({"kind": kind} if kind else {})


def _part(text: str | None) -> tuple[int, int] | None:
    """(i, n) of "i/n"."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match:
        raise InputError(f"--part {text}: expected I/N, such as 1/8")
    return int(match[1]), int(match[2])


def _json(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, too long a number, too deep
        raise InputError(f"--settings: is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError("--settings: expected a JSON object")
    return value


def _recipe(config_file: str | None, settings: str | None, assignments: tuple[str, ...], method: str | None) -> dict:
    from genossl import config, recipe

    mapping: dict[str, Any] = {}
    if config_file in recipe.presets():
        mapping = {"preset": config_file}  # in place of the default one, not on top of it
    elif config_file:
        mapping = recipe.preset(config_file)
    mapping = config.merge(mapping, _json(settings))
    for assignment in assignments:
        config.set_path(mapping, assignment)
    return mapping | ({"name": method} if method else {})


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--out", required=True, type=PATH, metavar="STORE", help="Folder of the token store to write.")
@click.option(
    "--threads",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Genomes read at once; 0: as many as there are cores and large files for.",
)
@config_option
@settings_option
@set_option
def ingest(
    paths: tuple[str, ...], out: Path, threads: int, config_file: Any, settings: Any, assignments: Any
) -> None:  # fmt: skip
    """Read genomes into a token store.

    PATH is FASTA, FASTQ or GenBank (plain, .gz, bgzip, .bz2, .xz, .zst), a folder of such files, a manifest (.tsv with
    the columns genome and path, perhaps split and features, the genes of a FASTA file as GFF3; any others are kept), or
    - for standard input.
    """
    from genossl import config
    from genossl.verbs import ingest as verb

    built = config.build(verb.Settings, _settings("ingest", config_file, settings, assignments), "ingest")
    summary = verb.run(list(paths), out, built, threads)
    click.echo(f"{out}: {len(summary)} genomes, {summary['records'].sum():,} records, {summary['bases'].sum():,} bases")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("labels", nargs=-1, required=True, type=PATH, metavar="LABELS")
@click.option("--out", type=PATH, metavar="AUDIT", help="Record of the audit, .json; .tsv and .rows.tsv beside it.")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of the table refer to.")
@click.option(
    "--pretrained", type=PATH, metavar="STORE", help="What pretraining reads: a store (see pretrain_splits) or FASTA."
)
@click.option(
    "--kind",
    type=click.Choice(["classes", "multilabel", "regression"]),
    help="What a label is: a class, names joined by ;, or a number; default: as genossl tasks was told, else classes.",
)
@click.option(
    "--strand",
    type=click.Choice(["invariant", "as_given"]),
    help="Whether a sequence and its reverse complement are one to the task; default: as genossl tasks was told.",
)
@config_option
@settings_option
@set_option
def audit(
    labels: tuple[Path, ...], out: Any, sequences: Any, pretrained: Any, kind: Any, strand: Any, config_file: Any,
    settings: Any, assignments: Any,
) -> None:  # fmt: skip
    """Say what leaks from train or pretraining into the test rows of a labelled table.

    Looks for copies, near copies, overlaps, strains and groups on both sides, test rows that pretraining reads, and
    classes that GC content or length give away. Exit 2 where a check fails, after everything is written. LABELS may
    also be records of audits (.json): then nothing is read again, and their verdict decides.
    """
    from genossl import config
    from genossl.genome.labels import of_task
    from genossl.verbs import audit as verb

    built = config.build(verb.Settings, _settings("audit", config_file, settings, assignments), "audit")
    if out is None and all(path.suffix == ".json" for path in labels):
        records, lines = list(labels), verb.told(list(labels))
    else:
        table, *more = labels
        if out is None or more or table.suffix == ".json":
            raise click.UsageError("expected one table with --out AUDIT.json, or records of audits (.json) without it")
        asked: dict[str, Any] = {"kind": "classes", "strand": "invariant"} | of_task(table)
        asked |= {name: value for name, value in (("kind", kind), ("strand", strand)) if value}
        records, lines = [out], verb.run(table, out, built, sequences, pretrained, asked["kind"], asked["strand"])
    for line in lines:
        click.echo(line)
    verb.gate(records, built)


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("store", type=PATH, metavar="STORE")
@click.option("--out", required=True, type=PATH, metavar="RUN", help="Folder of the run; an unfinished one is resumed.")
@click.option("--method", metavar="NAME", help="Pretext method; `genossl methods` lists them.")
@click.option("--config", "config_file", metavar="FILE", help="A preset's name or a YAML file with its sections.")
@settings_option
@set_option
@device_option
@threads_option
@click.option(
    "--time-limit",
    default=0.0,
    metavar="MINUTES",
    help="Save, stop and exit 75 after so long (fractions too); 0: no limit.",
)
@click.option("--profile", is_flag=True, help="Write RUN/profile.tsv: where the time of ten steps goes.")
def pretrain(
    store: Path, out: Path, method: Any, config_file: Any, settings: Any, assignments: Any, device: str, threads: int,
    time_limit: float, profile: bool,
) -> None:  # fmt: skip
    """Train an encoder on a token store.

    Presets: default, short (150-base reads), conv, bases, kmer_mlp, paper_150, paper_1000. Settings are --set
    pretrain.KEY, encoder.KEY (both below) and method.KEY (`genossl methods NAME` lists them). The same command resumes
    a run that was stopped. Several processes train together under torchrun, such as torchrun --standalone
    --nproc-per-node 4 --no-python genossl pretrain ...: the batch is theirs together, the result that of one.
    """
    from genossl.model.ranks import started
    from genossl.verbs import pretrain as verb

    jobs = verb.Jobs(device=device, threads=threads, time_limit=time_limit, profile=profile)
    verb.run(store, out, _recipe(config_file, settings, assignments, method), jobs)
    if started().first:  # of several the first writes, and says so
        click.echo(f"{out}: encoder.safetensors, encoder.json, log.tsv")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("path", type=PATH, metavar="PATH")
@click.option("--out", required=True, type=PATH, metavar="TASK", help="The task's table, .tsv; .json beside it.")
@click.option(
    "--layout", metavar="LAYOUT", help="auto, table, fasta, folder, csv or intervals; auto: by what is there."
)
@click.option("--kind", metavar="KIND", help="What a label is: classes, multilabel (names joined by ;) or regression.")
@click.option("--strand", metavar="STRAND", help="invariant, or as_given where the strand matters.")
@click.option("--labels", type=PATH, metavar="TSV", help="Columns id and label, beside FASTA or FASTQ.")
@click.option("--genome", type=PATH, metavar="FASTA", help="FASTA (or a store) that coordinates refer to.")
@click.option("--store", type=PATH, metavar="STORE", help="The collection, in place of --genome: checked, not copied.")
@click.option("--sequence", metavar="COLUMN", help="The column of the sequence.")
@click.option("--label", metavar="COLUMN", help="Of the label; BED: name or number; GFF3: type or an attribute.")
@click.option("--split", metavar="COLUMN", help="Of the split: train, validation (dev, val) or test.")
@click.option("--group", metavar="COLUMN", help="Of the group: what must not be on both sides of a split.")
@click.option("--description", metavar="TEXT", help="The question, in words.")
@click.option("--settings", metavar="JSON", help="These as one JSON object, under the options.")
def tasks(path: Path, out: Path, labels: Any, genome: Any, store: Any, settings: Any, **given: Any) -> None:
    """Turn labelled sequences of any layout into one table of a task.

    PATH is a table with id, label, and sequence or coordinates; FASTA or FASTQ with --labels; a folder with one
    subfolder of FASTA files or one FASTA file per class, perhaps below train, dev and test; a CSV or TSV with a
    sequence and a label, or a folder of train.csv, dev.csv and test.csv; BED or GFF3. All may be packed.
    """
    from genossl import config
    from genossl.verbs import tasks as verb

    mapping = _json(settings) | {name: value for name, value in given.items() if value is not None}
    click.echo(verb.run(path, out, config.build(verb.Settings, mapping, "tasks"), labels, genome, store))


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("encoder", metavar="ENCODER")
@click.argument("source", metavar="INPUT")
@click.option("--out", required=True, type=PATH, metavar="FILE", help=".npy (rows beside it as .tsv), .npz or .parquet")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@config_option
@settings_option
@set_option
@device_option
@threads_option
@click.option("--part", metavar="I/N", help="Only the I-th of N parts of a store's genomes: N jobs share them.")
def embed(
    encoder: str, source: str, out: Path, sequences: Any, config_file: Any, settings: Any, assignments: Any,
    device: str, threads: int, part: Any,
) -> None:  # fmt: skip
    """Embed sequences.

    ENCODER is a run or model folder, kmer:K (1 to 8), gc, or untrained:RUN. INPUT is FASTA or FASTQ (also - for
    standard input) or a token store, of which windows are embedded, or a labelled table (.tsv with id, label, and
    sequence or coordinates), of which each row is. Coordinates are 0-based and half-open.
    """
    from genossl import config
    from genossl.verbs import embed as verb

    built = config.build(verb.Settings, _settings("embed", config_file, settings, assignments), "embed")
    rows = verb.run(encoder, source, out, built, sequences, device, threads, _part(part))
    click.echo(f"{out}: {rows:,} rows")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("embeddings", nargs=-1, required=True, type=PATH, metavar="EMBEDDINGS...")
@click.option("--labels", required=True, type=PATH, metavar="TSV", help="Columns id, label; optional split and group.")
@click.option("--out", required=True, type=PATH, metavar="SCORES", help="The table of scores, .tsv")
@click.option("--task", help="Name of the task; default: the labels' file name.")
@click.option(
    "--save-head", type=PATH, metavar="HEAD", help="Keep a calibrated linear head of all training labels for predict."
)
@click.option(
    "--kind",
    type=click.Choice(["classes", "multilabel", "regression"]),
    help="What a label is: a class, names joined by ; or a number; default: as genossl tasks was told, else classes.",
)
@click.option(
    "--predictions", multiple=True, type=PATH, metavar="NPZ", help="Of a network trained end to end; repeatable."
)
@click.option(
    "--audit", type=PATH, metavar="TSV", help="The audit's .rows.tsv: scores also on clean rows, in .subsets.tsv."
)
@config_option
@settings_option
@set_option
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Embeddings probed at once.")
def probe(
    embeddings: tuple[Path, ...], labels: Path, out: Path, task: Any, save_head: Any, kind: Any,
    predictions: tuple[Path, ...], audit: Any, config_file: Any, settings: Any, assignments: Any, threads: int,
) -> None:  # fmt: skip
    """Score frozen embeddings on a labelled table, at growing numbers of labels.

    With --save-head, which takes one embedding, a logistic regression on all training rows is kept as
    HEAD.safetensors and HEAD.json: its penalty and temperature chosen on validation rows, its scores those on test.
    """
    from genossl import config
    from genossl.verbs import probe as verb

    mapping = _of_kind(_settings("probe", config_file, settings, assignments), labels, kind)
    built = config.build(verb.Settings, mapping, "probe")
    name = task or labels.name.split(".")[0]
    verb.run(list(embeddings), labels, name, out, built, threads, list(predictions), audit, save_head)
    for line in verb.summary(out):
        click.echo(line)
    click.echo(f"scores: {out}")
    if save_head:
        click.echo(f"head: {save_head}")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("head", type=PATH, metavar="HEAD")
@click.argument("source", metavar="INPUT")
@click.option("--out", required=True, type=PATH, metavar="TSV", help="Windows or reads; contigs and genomes beside it.")
@click.option("--encoder", metavar="ENCODER", help="Where the encoder is now, if not where it was; checked by sha256.")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@click.option("--window", type=int, metavar="BASES", help="Short for --set window=BASES.")
@click.option("--step", type=int, metavar="BASES", help="From window to window; short for --set step=BASES.")
@click.option("--by", metavar="read|contig|genome", help="What a row of OUT is; short for --set by=...")
@config_option
@settings_option
@set_option
@device_option
@threads_option
def predict(
    head: Path, source: str, out: Path, encoder: Any, sequences: Any, window: Any, step: Any, by: Any,
    config_file: Any, settings: Any, assignments: Any, device: str, threads: int,
) -> None:  # fmt: skip
    """Say what sequences are, with a head that probe --save-head kept.

    INPUT is FASTA or FASTQ (also - for standard input) or a token store, of which windows are told, or a labelled
    table, of which each row is (its own labels play no part). Windows are embedded as those that the head learnt from.
    A contig's or genome's probability is that of its windows on average (the mean of their log-probabilities by known
    bases). The head chooses among the classes it was shown, in the shares they had there; of others it knows nothing.
    """
    from genossl import config
    from genossl.verbs import predict as verb

    mapping = _settings("predict", config_file, settings, assignments)
    short = {"window": window, "step": step, "by": by}
    mapping |= {name: value for name, value in short.items() if value is not None}
    built = config.build(verb.Settings, mapping, "predict")
    for line in verb.run(head, source, out, built, encoder, sequences, device, threads):
        click.echo(line)


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER...")
@click.option("--labels", required=True, type=PATH, metavar="TASK", help="The table of a task.")
@click.option("--out", required=True, type=PATH, metavar="TABLE", help="Flip rates and correlations, .tsv")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of the task refer to.")
@config_option
@settings_option
@set_option
@device_option
@threads_option
def strands(
    encoders: tuple[str, ...], labels: Path, out: Path, sequences: Any, config_file: Any, settings: Any,
    assignments: Any, device: str, threads: int,
) -> None:  # fmt: skip
    """Measure whether answers depend on the strand that is given.

    ENCODER as for embed. Flip rate: the share of test reads whose predicted class changes when the read is given as its
    reverse complement. Correlation: of class scores, and of vectors, between both strands.
    """
    from genossl import config
    from genossl.verbs import strands as verb

    built = config.build(verb.Settings, _settings("strands", config_file, settings, assignments), "strands")
    for line in verb.run(list(encoders), labels, out, built, sequences, device, threads):
        click.echo(line)
    click.echo(f"strands: {out}")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("model", metavar="MODEL")
@click.argument("labels", type=PATH, metavar="LABELS")
@click.option("--out", required=True, type=PATH, metavar="PREDICTIONS", help=".npz; what was tried beside it as .json")
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of LABELS refer to.")
@click.option("--kind", metavar="KIND", help="What a label is, as for probe; default: as genossl tasks was told.")
@config_option
@settings_option
@set_option
@device_option
@threads_option
def finetune(
    model: str, labels: Path, out: Path, sequences: Any, kind: Any, config_file: Any, settings: Any, assignments: Any,
    device: str, threads: int,
) -> None:  # fmt: skip
    """Train a network end to end on a labelled table and predict its test rows, at growing numbers of labels.

    MODEL is a run folder (fine-tuning), scratch:RUN (the same encoder from new random weights) or cnn (a supervised
    convolutional network that sees the whole input). Each gets the same trials. Rows, splits and label draws are those
    of `genossl probe` at equal settings.
    """
    from genossl import config
    from genossl.verbs import finetune as verb

    mapping = _of_kind(_settings("finetune", config_file, settings, assignments), labels, kind)
    built = config.build(verb.Settings, mapping, "finetune")
    for line in verb.summary(verb.run(model, labels, out, built, sequences, device, threads)):
        click.echo(line)
    click.echo(f"predictions: {out}")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("embeddings", nargs=-1, required=True, type=PATH, metavar="EMBEDDINGS...")
@click.option("--labels", required=True, type=PATH, metavar="TSV", help="Columns id, label; optional split and group.")
@click.option("--out", required=True, type=PATH, metavar="SCORES", help="The table of scores, .tsv")
@click.option("--task", help="Name of the task; default: the labels' file name.")
@click.option("--rival", metavar="NAME", help="Embedding to beat, '' for none; short for --set rival=NAME.")
@config_option
@settings_option
@set_option
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Embeddings at once.")
def cluster(
    embeddings: tuple[Path, ...], labels: Path, out: Path, task: Any, rival: Any, config_file: Any, settings: Any,
    assignments: Any, threads: int,
) -> None:  # fmt: skip
    """Find classes again as clusters, without showing a label.

    The test rows of a labelled table are clustered by k-means and HDBSCAN; the clusters are scored as partitions (ARI,
    NMI, purity) and as bins of a metagenome (completeness and purity, as AMBER has them), beside 4-mers.
    """
    from genossl import config
    from genossl.verbs import cluster as verb

    mapping = _settings("cluster", config_file, settings, assignments) | ({} if rival is None else {"rival": rival})
    built = config.build(verb.Settings, mapping, "cluster")
    verb.run(list(embeddings), labels, task or labels.name.split(".")[0], out, built, threads)
    for line in verb.summary(out):
        click.echo(line)
    click.echo(f"scores: {out}")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("source", metavar="SEQUENCES")
@click.option("--seeds", type=PATH, metavar="TSV", help="Columns id and label: the few that are known.")
@click.option(
    "--motifs", type=PATH, metavar="TSV", help="Columns label and motif (IUPAC letters), in place of --seeds."
)
@click.option(
    "--out", required=True, type=PATH, metavar="LABELS", help="The table of labels, .tsv; .rules.tsv beside it."
)
@click.option("--sequences", type=PATH, help="Store or FASTA that the coordinates of a labelled table refer to.")
@click.option("--k", type=int, metavar="K", help="Bases of a k-mer; short for --set k=K.")
@click.option("--z", type=float, metavar="Z", help="Caution of the rules; short for --set z=Z.")
@click.option("--window", type=int, metavar="BASES", help="Short for --set window=BASES.")
@click.option("--step", type=int, metavar="BASES", help="From window to window; short for --set step=BASES.")
@config_option
@settings_option
@set_option
def label(
    source: str, seeds: Any, motifs: Any, out: Path, sequences: Any, k: Any, z: Any, window: Any, step: Any,
    config_file: Any, settings: Any, assignments: Any,
) -> None:  # fmt: skip
    """Label sequences from a few seeds, by Yarowsky's algorithm.

    SEQUENCES is FASTA or FASTQ (also - for standard input) or a token store, of which windows are labelled, or a
    labelled table, of which each row is (its own labels play no part). A seed's id is a window's (contig:start-end), or
    a contig's or genome's for all its windows. Rows of a genome (else contig) share a class where the rules say that
    they do. Where the seeds are too few, or say nothing, nothing is written.
    """
    from genossl import config
    from genossl.verbs import label as verb

    mapping = _settings("label", config_file, settings, assignments)
    short = {"k": k, "z": z, "window": window, "step": step}
    mapping |= {name: value for name, value in short.items() if value is not None}
    built = config.build(verb.Settings, mapping, "label")
    for line in verb.run(source, out, built, seeds, motifs, sequences):
        click.echo(line)
    click.echo(f"labels: {out}")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("results", type=PATH, metavar="RESULTS")
@click.option("--out", required=True, type=PATH, metavar="FILE", help="The report, one self-contained .html")
@config_option
@settings_option
@set_option
def report(results: Path, out: Path, config_file: Any, settings: Any, assignments: Any) -> None:
    """Write the report of a results folder and print its three findings."""
    from genossl import config
    from genossl.verbs import report as verb

    built = config.build(verb.Settings, _settings("report", config_file, settings, assignments), "report")
    for line in verb.run(results, out, built):
        click.echo(line)
    click.echo(f"report: {out}")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("run", type=PATH, metavar="RUN")
@click.argument("query", required=False, metavar="[QUERY]")
@click.option("--genomes", metavar="STORE|FASTA", help="What QUERY is looked for in.")
@click.option("--out", type=PATH, metavar="TSV", help="Table of hits, or of what --evaluate found.")
@click.option(
    "--query",
    "kind",
    type=click.Choice(["auto", "protein", "dna"]),
    default="auto",
    show_default=True,
    help="What QUERY is; auto: by its letters.",
)
@click.option("--top", type=int, metavar="N", help="Hits of a query; short for --set top=N.")
@click.option("--step", type=int, metavar="BASES", help="From window to window; short for --set step=BASES.")
@click.option(
    "--evaluate", type=PATH, metavar="STORE", help="Measure retrieval on annotated genomes in place of a search."
)
@click.option("--splits", metavar="SPLIT[,SPLIT]", help="Of the genomes to evaluate on; short for --set splits=...")
@click.option(
    "--fitted-on", type=PATH, metavar="STORE", help="Where the store that RUN learnt from is now (--evaluate)."
)
@config_option
@settings_option
@set_option
@device_option
def retrieve(
    run: Path, query: Any, genomes: Any, out: Any, kind: Any, top: Any, step: Any, evaluate: Any, splits: Any,
    fitted_on: Any, config_file: Any, settings: Any, assignments: Any, device: str,
) -> None:  # fmt: skip
    """Find genes by proteins in genomes without annotation.

    RUN is a clip run with pairing genes, QUERY protein FASTA (or DNA). With --evaluate the genes of genomes held out
    are looked for by their proteins and the other way round, beside a guess from composition.
    """
    from genossl import config
    from genossl.verbs import retrieve as verb

    mapping = _settings("retrieve", config_file, settings, assignments)
    short = {"top": top, "step": step, "splits": splits.split(",") if splits is not None else None}
    mapping |= {name: value for name, value in short.items() if value is not None}
    built = config.build(verb.Settings, mapping, "retrieve")
    if (evaluate is None) == (query is None):
        raise click.UsageError("expected either QUERY with --genomes and --out, or --evaluate STORE")
    if evaluate is not None:
        for line in verb.evaluate(run, evaluate, built, out, fitted_on, device):
            click.echo(line)
        return
    if genomes is None or out is None:
        raise click.UsageError("QUERY needs --genomes STORE or FASTA and --out TSV")
    click.echo(f"{out}: {verb.run(run, query, genomes, out, built, kind, device):,} hits")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("path", type=PATH, metavar="CONFIG.YAML|ARTEFACT")
def check(path: Path) -> None:
    """Check a workflow's configuration and sheets, or an artefact; name every mistake at once.

    ARTEFACT is a store, a run, or a file with its .provenance.json beside it: it and all that it was made of are read
    again, and what is damaged or has changed since is named.
    """
    from genossl.verbs import check as verb

    made = path.is_dir() or path.with_name(f"{path.name}.provenance.json").is_file()
    for line in verb.artefact(path) if made else verb.run(path):
        click.echo(line)


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("name", required=False)
def methods(name: str | None) -> None:
    """List the pretext methods, or show one with its settings and their defaults."""
    from genossl.verbs import methods as verb

    for line in verb.run(name):
        click.echo(line)


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("store", type=PATH, metavar="STORE")
@click.option("--method", metavar="NAME", help="Pretext method.")
@click.option("--config", "config_file", metavar="FILE", help="A preset's name or a YAML file.")
@settings_option
@set_option
@click.option("--rows", default=1, show_default=True, help="Windows to show.")
def preview(store: Path, method: Any, config_file: Any, settings: Any, assignments: Any, rows: int) -> None:
    """Show what a method asks of the encoder: one window and its views, in letters."""
    from genossl.verbs import preview as verb

    for line in verb.run(store, _recipe(config_file, settings, assignments, method), rows):
        click.echo(line)


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("run", type=PATH, metavar="RUN")
@click.option("--out", required=True, metavar="FILE", help="FASTA to write; - for standard output.")
@click.option("--n", default=10, show_default=True, help="Sequences.")
@click.option("--length", default=1000, show_default=True, help="Bases of each, after the prompt.")
@click.option("--prompt", default="", metavar="LETTERS", help="What every sequence begins with.")
@click.option("--temperature", default=1.0, show_default=True, help="Below 1 bolder, 0 the likeliest base always.")
@click.option("--top-k", default=0, show_default=True, help="Draw among the k likeliest bases; 0: all.")
@click.option("--top-p", default=1.0, show_default=True, help="Draw among the likeliest that reach this probability.")
@click.option("--seed", default=0, show_default=True, help="Sequence i is drawn by (seed, i), whatever --n is.")
@device_option
@threads_option
def generate(run: Path, out: str, device: str, threads: int, **drawn: Any) -> None:
    """Draw DNA from a run of causal_lm, base after base."""
    from genossl import config
    from genossl.verbs import generate as verb

    n = verb.run(run, out, config.build(verb.Settings, drawn, "generate"), device, threads)
    if out != "-":
        click.echo(f"{out}: {n} sequences")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("run", type=PATH, metavar="RUN")
@click.argument("source", metavar="INPUT")
@click.option("--out", required=True, type=PATH, metavar="TABLE", help="Table of records, .tsv")
@click.option("--store", type=PATH, help="Training genomes, for the Markov models; default: INPUT where it is they.")
@click.option("--variants", type=PATH, metavar="VCF", help="Substitutions to score, into TABLE's .variants.tsv")
@config_option
@settings_option
@set_option
@device_option
@threads_option
def score(
    run: Path, source: str, out: Path, store: Any, variants: Any, config_file: Any, settings: Any, assignments: Any,
    device: str, threads: int,
) -> None:  # fmt: skip
    """Score sequences by a run of causal_lm: bits per base of each record, on both strands.

    INPUT is FASTA or FASTQ (also - for standard input) or a token store. Beside the model's stand the bits of Markov
    models of the same training genomes, which it should beat.
    """
    from genossl import config
    from genossl.verbs import score as verb

    built = config.build(verb.Settings, _settings("score", config_file, settings, assignments), "score")
    for line in verb.run(run, source, out, built, store, variants, device, threads):
        click.echo(line)
    click.echo(f"scores: {out}")


@cli.command(epilog=EPILOG, cls=Verb)
@click.argument("artefact", type=PATH, metavar="ARTEFACT")
@click.option("--out", metavar="PATH", help="Where the command is to write, in place of where it wrote.")
def rerun(artefact: Path, out: Any) -> None:
    """Print the command that makes an artefact again.

    ARTEFACT is any file or folder that a verb wrote. The command, for a shell, has all settings as they were, defaults
    too. What has changed since (inputs, by their checksums; versions) is told on standard error.
    """
    from genossl.verbs import rerun as verb

    made = verb.run(artefact)
    for note in (*made.changed, *made.versions):
        click.echo(f"genossl: {note}", err=True)
    words = _command(made.verb, made.given | ({"out": out} if out else {}), made.settings)
    if made.ranks > 1:
        words = ["torchrun", "--standalone", "--nproc-per-node", str(made.ranks), "--no-python", *words]
    there = [] if Path(made.folder) == Path.cwd() else ["cd", shlex.quote(made.folder), "&&"]
    click.echo(" ".join([*there, *map(shlex.quote, words)]))


def _command(name: str, given: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """Words of a command line: `given` by the names of the command's parameters, the settings as one JSON object."""
    command = cli.commands[name]
    if not any(option.name == "settings" for option in command.params):
        given = given | settings
    else:
        given = given | {"settings": json.dumps(settings)}
    options, arguments = [], []
    for option in command.params:
        value = given.get(str(option.name))
        values = [str(one) for one in (value if isinstance(value, list) else [value]) if one is not None]
        if isinstance(option, click.Argument):
            arguments += values
        else:
            options += [word for one in values for word in (option.opts[0], one)]
    # a name may begin with a dash
    return ["genossl", name, *options, *(["--"] if any(one.startswith("-") for one in arguments) else []), *arguments]


def main() -> None:
    """Run a command; a user's mistake is one line and exit 2, a stop that can be resumed is exit 75."""
    try:
        cli.main(prog_name="genossl", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        told = str(error.__cause__ or error)
        if told:
            click.echo(f"genossl: {told}", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except InputError as error:
        click.echo(f"genossl: {_one_line(error)}", err=True)
        code = 2
    except MemoryError as error:
        click.echo(f"genossl: not enough memory ({error or 'none is left'}); give it more, or less to do", err=True)
        code = 2
    except Stopped as stopped:
        click.echo(f"genossl: {stopped}", err=True)
        code = 75
    except SystemExit:  # no verb exits; it is click's answer when the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    else:
        code = 0
    sys.exit(code)


def _one_line(error: InputError) -> str:
    """Names come from files: what would move the cursor or end the line is shown, not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(error))
