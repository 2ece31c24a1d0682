"""genossl doctor: what is missing is said with what to do, and nothing tells who asks."""

from __future__ import annotations

import getpass
import json
import os
import platform
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest

from genossl import machine, requirements, shipped
from genossl.verbs import doctor


def by_name(found: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in found}


@pytest.mark.parametrize(
    "version,bounds,met",
    [
        ("2.13.0+cpu", ">=2.10", True),
        ("2.9.1", ">=2.10", False),
        ("2.10", ">=2.10.0", True),
        ("3.0", ">=2.8,<3", False),
        ("2.99.9", ">=2.8,<3", True),
        ("1.0rc1", ">=1.0", True),
        ("4", "", True),
    ],
)
def test_bounds(version: str, bounds: str, met: bool) -> None:
    assert requirements.within(version, bounds) == met


def test_the_requirements_are_those_of_the_project(repository: Path) -> None:
    about = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert set(requirements.EXTRAS) == set(about["optional-dependencies"])
    found = requirements.requirements()
    assert len([one for one in found if not one.extra]) == len(about["dependencies"])
    snakemake = next(one for one in found if one.package == "snakemake")
    assert snakemake.bounds == ">=9.19,<10"
    assert all(one.met for one in found if not one.extra), "this environment"


def test_an_installed_package_says_its_requirements_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = ["torch>=2.10", "snakemake[reports]<10,>=9.19", 'pyarrow>=17; extra == "parquet"', 'x; extra == "dev"']
    (tmp_path / "genossl" / "workflow").mkdir(parents=True)
    monkeypatch.setattr(shipped, "HOME", tmp_path / "genossl")
    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)
    assert requirements.requirements() == [
        ("torch", ">=2.10", ""), ("snakemake", "<10,>=9.19", ""), ("pyarrow", ">=17", "parquet"),
    ]  # fmt: skip


def test_a_healthy_machine(call) -> None:
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("genossl can run here")
    assert f"Python           {platform.python_version()}" in out


def test_it_says_nothing_of_who_asks(call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCBI_API_KEY", "a_secret")
    code, out, _ = call("doctor", "--json")
    assert code == 0
    record = json.loads(out)
    assert {finding["state"] for finding in record["findings"]} <= {"ok", "note", "wrong"}
    private = {"a_secret", str(tmp_path), str(Path.home()), platform.node(), os.environ["PATH"]}
    # a name of the system itself, such as root or vm, may be part of a word
    private |= {name for name in (getpass.getuser(), platform.node()) if len(name) > 4}
    assert not [text for text in private if len(text) > 4 and text in out]


def test_what_is_missing_is_wrong_or_a_note(call, monkeypatch: pytest.MonkeyPatch) -> None:
    real = machine.version_of
    versions = {"numpy": "1.26.4", "pyfaidx": "", "pyarrow": "16.1.0"}
    monkeypatch.setattr(requirements, "version_of", lambda name: versions.get(name, real(name)))
    found = by_name(doctor.run())
    assert (found["numpy"].state, found["numpy"].found) == ("wrong", "1.26.4, needs >=2.0")
    assert found["pyfaidx"].advice.startswith("pip install 'pyfaidx>=")
    assert found["packages"].found.startswith(f"{len([r for r in requirements.requirements() if not r.extra]) - 2} of ")
    assert (found["[parquet]"].state, found["[zstd]"].state) == ("note", "ok")
    assert found["[parquet]"].advice == "embeddings as Parquet: pip install 'genossl[parquet]'"
    code, out, err = call("doctor")
    assert (code, err) == (2, "genossl: genossl cannot run here: numpy, pyfaidx\n")
    assert "! numpy" in out


def test_a_poor_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 2_000_000_000)
    monkeypatch.setattr(machine, "free", lambda path: 1_000_000)
    monkeypatch.setattr("resource.getrlimit", lambda which: (256, 256))
    monkeypatch.setattr("locale.getpreferredencoding", lambda update: "ANSI_X3.4-1968")
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    monkeypatch.setenv("PATH", "/nowhere")
    found = by_name(doctor.run())
    for what in ("memory", "this folder", "temporary files", "open files", "text", "OMP_NUM_THREADS", "snakemake"):
        assert found[what].state == "note", what
        assert found[what].advice, what
    assert found["Slurm"].found == "not here"
    notes = sum(finding.state == "note" for finding in found.values())
    told = f"genossl can run here; {notes} notes above (-), none of them needed"
    assert doctor.verdict(list(found.values())) == told


def test_a_gpu_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (tmp_path / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H100\nIRQ: 5\n")
    told = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n"
    (tmp_path / "version").write_text(told)
    monkeypatch.setattr(machine, "GPU_DRIVER", tmp_path)
    monkeypatch.setattr(machine, "torch_cuda", lambda: "")
    assert (machine.driver(), machine.gpus()) == ("550.54.14", ["NVIDIA H100"])
    found = doctor.run()
    gpu = next(finding for finding in found if finding.what == "GPU")
    assert (gpu.state, "NVIDIA H100" in gpu.found, "whl/cu" in gpu.advice) == ("note", True, True)


def test_the_driver_of_open_kernel_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (builder@host)\n"
    (tmp_path / "version").write_text(told)
    monkeypatch.setattr(machine, "GPU_DRIVER", tmp_path)
    assert machine.driver() == "570.86.15"


def test_a_look_that_fails_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise OSError("/home/someone")

    monkeypatch.setattr(machine, "cores", broken)
    found = by_name(doctor.run())
    assert (found["machine"].state, found["machine"].found) == ("note", "failed with OSError")
    assert "workflow" in found


def test_the_cuda_of_a_build_is_read_and_torch_not_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Spec = namedtuple("Spec", "origin")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec(str(tmp_path / "__init__.py")))
    for line, expected in (("cuda: Optional[str] = '12.6'", "12.6"), ("cuda = None", ""), ("hip = '6.1'", "")):
        (tmp_path / "version.py").write_text(f"debug = False\n{line}\n")
        assert machine.torch_cuda() == expected
