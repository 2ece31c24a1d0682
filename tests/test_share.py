"""The verb share: a folder for others whose card says what the run's files say, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

import genossl
from genossl import files
from genossl.errors import InputError
from genossl.evaluation import verdict as judge
from genossl.evaluation.scored import read_tasks
from genossl.genome.store import TokenStore
from genossl.model import checkpoint
from genossl.verbs import embed, probe, share

FILES = ["README.md", "encoder.json", "encoder.safetensors"]


@pytest.fixture(scope="module")
def results(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores of the tiny run, the same untrained and 2-mers on a task; and of another task without the run."""
    folder = tmp_path_factory.mktemp("share")
    rng = np.random.default_rng(1)
    reads = {f"{s}{i}": (s, "xy"[i % 2], rng.choice(4, 60, p=[0.4, 0.1, 0.1, 0.4] if i % 2 else [0.1, 0.4, 0.4, 0.1]))
             for s in ("train", "test") for i in range(12)}  # fmt: skip
    lines = [f"{n}\t{label}\t{''.join('ACGT'[b] for b in tokens)}\t{s}" for n, (s, label, tokens) in reads.items()]
    for task, rows in (("t", {"ours": str(tiny_run), "untrained": f"untrained:{tiny_run}", "kmer2": "kmer:2"}),
                       ("others", {"kmer2": "kmer:2", "gc": "gc"})):  # fmt: skip
        table = folder / f"{task}.tsv"
        table.write_text("\n".join(["id\tlabel\tsequence\tsplit", *lines]) + "\n")
        paths = [folder / "results" / "embeddings" / task / f"{name}.npy" for name in rows]
        for path, encoder in zip(paths, rows.values(), strict=True):
            embed.run(encoder, table, path, embed.Settings(pool="mean"), device="cpu")
        scores = folder / "results" / "scores" / f"{task}.tsv"
        probe.run(paths, table, task, scores, probe.Settings(draws=1, heads=("logistic",)))
    return folder / "results"


def section(card: str, heading: str) -> str:
    return card.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_folder_is_the_run_and_a_card(tiny_run: Path, tmp_path: Path, call) -> None:
    out = tmp_path / "shared"
    code, said, _ = call("share", tiny_run, "--out", out)
    assert (code, said) == (0, f"{out}: {', '.join(FILES)}\n")
    assert sorted(path.name for path in out.iterdir()) == FILES
    for name in FILES[1:]:
        assert (out / name).read_bytes() == (tiny_run / name).read_bytes()
    genossl.load_encoder(out, device="cpu")


def test_the_card_is_what_the_files_say(tiny_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    share.run(tiny_run, tmp_path / "shared", title="Tiny", licence="MIT")
    card = (tmp_path / "shared" / "README.md").read_text()
    about, store = checkpoint.describe(tiny_run), TokenStore.open(tiny_store)
    assert "\n# Tiny\n" in card
    assert f"| parameters | {about['parameters']:,} |" in card
    assert "| frame | 20 bases every 20, by k-mer counts" in card
    assert f"| bases read | {about['bases_seen']:,} |" in card
    assert "(https://doi.org/10.1038/s42003-023-05310-2)" in card
    data = section(card, "Data")
    assert "| train | learnt from | 1 | 2 | 6,000 |" in data
    assert "| test | not learnt from | 1 | 2 | 6,000 |" in data
    assert store.checksum() in data
    assert "None were given" in section(card, "Scores")
    assert "MIT" in section(card, "Licence")
    for name in FILES[1:]:
        assert f"| {name} | {files.sha256(tiny_run / name)} |" in section(card, "Files")
    for path in (tiny_run, tiny_store, tmp_path):  # nobody else has our folders
        assert str(path) not in card


def test_the_command_in_the_card_makes_the_encoder(tiny_run: Path, tiny_store: Path, tmp_path: Path, call) -> None:
    import shlex

    share.run(tiny_run, tmp_path / "shared")
    (line,) = re.findall(r"^\$ genossl (.*)$", (tmp_path / "shared" / "README.md").read_text(), re.M)
    places = {"STORE": str(tiny_store), "RUN": str(tmp_path / "again")}
    assert call("--quiet", *[places.get(word, word) for word in shlex.split(line)])[0] == 0
    again, before = (path / "encoder.safetensors" for path in (tmp_path / "again", tiny_run))
    assert again.read_bytes() == before.read_bytes()


def test_the_front_matter_is_read_by_the_hub(tiny_run: Path, tmp_path: Path) -> None:
    known = {"MIT": "mit", "Apache-2.0": "apache-2.0", "": "unknown", 'ours: "#1"': "other"}
    for licence, expected in known.items():
        share.run(tiny_run, tmp_path / "shared", licence=licence)
        data = huggingface_hub.ModelCard.load(tmp_path / "shared" / "README.md").data
        assert (data.license, data.library_name, data.pipeline_tag) == (expected, "genossl", "feature-extraction")
        assert {"dna", "self_genomenet"} <= set(data.tags)
        assert data.to_dict().get("license_name") == (licence if expected == "other" else None)
    share.run(tiny_run, tmp_path / "shared")
    assert "others may not use these weights" in (tmp_path / "shared" / "README.md").read_text()


def test_scores_are_those_of_these_weights(tiny_run: Path, results: Path, tmp_path: Path) -> None:
    share.run(tiny_run, tmp_path / "shared", results=results)
    scores = section((tmp_path / "shared" / "README.md").read_text(), "Scores")
    (task,) = [task for task in read_tasks(results) if task.name == "t"]
    rows = judge.means(task.scores, "logistic").set_index(["embedding", "shots"])
    for shots in ("1", "all"):
        ours, kmers = (rows.loc[(name, shots)] for name in ("ours", "kmer2"))
        untrained = judge.number(rows.loc[("untrained", shots)]["value"])
        interval = f"{judge.number(ours['value'])} ({judge.number(ours['low'])} to {judge.number(ours['high'])})"
        line = f"| {judge.labels(shots)} | {interval} | {untrained} | {judge.number(kmers['value'])} (kmer2) | 12 |"
        assert line in scores
    told = judge.verdict(task.scores, task.comparisons, unit=task.record["unit"]).sentence
    assert told in scores.replace("\\", "")
    assert "on vectors of pool mean, both strands: True" in scores
    assert "others" not in scores


def test_a_card_says_first_that_the_audit_failed(tiny_run: Path, results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "r")
    checks = [{"name": "gc", "outcome": "fail", "value": 1.0, "threshold": 0.99, "sentence": "GC tells it all."}]
    files.write_json(tmp_path / "r" / "audit" / "t.json", {"task": "t", "outcome": "fail", "checks": checks})
    share.run(tiny_run, tmp_path / "shared", results=tmp_path / "r")
    card = (tmp_path / "shared" / "README.md").read_text()
    assert re.search(r"(but|and) the audit fails: GC tells it all: GC content alone may explain it\. [A-Z]", card)


def test_scores_without_baselines_say_so(tiny_run: Path, results: Path, tmp_path: Path) -> None:
    scores = tmp_path / "r" / "scores" / "t.tsv"
    settings = probe.Settings(draws=1, heads=("logistic",))
    probe.run([results / "embeddings" / "t" / "ours.npy"], results.parent / "t.tsv", "t", scores, settings)
    share.run(tiny_run, tmp_path / "shared", results=tmp_path / "r")
    told = section((tmp_path / "shared" / "README.md").read_text(), "Scores")
    assert "neither an untrained encoder nor a k-mer profile was scored" in told
    assert "| not scored | not scored | 12 |" in told


def test_results_that_moved_are_still_joined_by_checksum(tiny_run: Path, results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("*.provenance.json"):
        path.write_text(path.read_text().replace(str(results), "/nowhere"))
    share.run(tiny_run, tmp_path / "shared", results=tmp_path / "moved")
    assert "### t\n" in (tmp_path / "shared" / "README.md").read_text()


def test_scores_of_other_weights_are_no_scores(tiny_run: Path, results: Path, tmp_path: Path) -> None:
    """The untrained encoder has the name of the run in its provenance, and k-mers have no weights at all."""
    shutil.copytree(results, tmp_path / "r")
    record = tmp_path / "r" / "embeddings" / "t" / "ours.npy.provenance.json"
    told = json.loads(record.read_text())
    told["inputs"]["encoder"]["sha256"] = "0" * 64
    for path in (tmp_path / "r" / "scores").glob("*.provenance.json"):
        path.write_text(path.read_text().replace(str(results), str(tmp_path / "r")))
    record.write_text(json.dumps(told))
    with pytest.raises(InputError, match="holds no score of the encoder in"):
        share.run(tiny_run, tmp_path / "shared", results=tmp_path / "r")
    assert not (tmp_path / "shared").exists()


def test_what_is_not_known_is_said_to_be(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / "run.provenance.json").unlink()
    share.run(tmp_path / "run", tmp_path / "shared")
    card = (tmp_path / "shared" / "README.md").read_text()
    assert "which was not at hand" in section(card, "Data")
    assert "The command is not known." in section(card, "How to make it again")


def test_twice_the_same_and_again(tiny_run: Path, results: Path, tmp_path: Path, again) -> None:
    share.run(tiny_run, tmp_path / "shared", results=results, licence="MIT", title="a b")
    before = (tmp_path / "shared" / "README.md").read_bytes()
    share.run(tiny_run, tmp_path / "shared", results=results, licence="MIT", title="a b")  # in place of the older one
    assert (tmp_path / "shared" / "README.md").read_bytes() == before
    assert again(tmp_path / "shared") == []


def test_names_are_no_markup(tiny_run: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> | [x](javascript:y) `z` *b*"
    share.run(tiny_run, tmp_path / "shared", title=evil, licence=evil)
    card = (tmp_path / "shared" / "README.md").read_text().split("---\n", 2)[2]
    assert not re.search(r"(?<!\\)[<>]", re.sub(r"```.*?```", "", card, flags=re.S))
    assert "\\[x\\](javascript" in card


def test_heads_come_along(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / "heads.safetensors").write_bytes(b"heads")
    assert share.run(tmp_path / "run", tmp_path / "shared") == sorted([*FILES, "heads.safetensors"])


def test_what_is_refused(tiny_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"home: holds thesis\.tex, expected a new folder or one that genossl share"):
        share.run(tiny_run, tmp_path / "home")
    assert (tmp_path / "home" / "thesis.tex").is_file()
    with pytest.raises(InputError, match="expected a new folder"):
        share.run(tiny_run, tiny_run)
    with pytest.raises(InputError, match=r"holds no encoder\.json"):
        share.run(tiny_store, tmp_path / "x")
    shutil.copytree(tiny_run, tmp_path / "damaged")
    with (tmp_path / "damaged" / "encoder.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(InputError, match="is damaged"):
        share.run(tmp_path / "damaged", tmp_path / "x")
    (tmp_path / "bare").mkdir()
    for name in FILES[1:]:
        shutil.copyfile(tiny_run / name, tmp_path / "bare" / name)
    with pytest.raises(InputError, match=r"bare: holds encoder\.json, expected a new folder"):  # perhaps the only copy
        share.run(tiny_run, tmp_path / "bare")
    share.run(tmp_path / "bare", tmp_path / "card")
    with pytest.raises(InputError, match="card: is read, and would be written over"):
        share.run(tmp_path / "card", tmp_path / "card")
    assert not (tmp_path / "x").exists()
