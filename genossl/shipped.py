"""What comes with genossl beside its code: presets and the workflow."""

from __future__ import annotations

from pathlib import Path

HOME = Path(__file__).parent
PRESETS = HOME / "presets"


def presets(folder: Path = PRESETS) -> list[str]:
    """Names of the presets, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def workflow() -> Path:
    """The folder with Snakefile, config.yaml and workflow/: inside the installed package, else the checkout."""
    inside = HOME / "workflow"
    return inside if inside.is_dir() else HOME.parent
