"""The house's own source, parsed once, for the tests beside this file."""

import ast
import fnmatch
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("constitutions", "judges", "training", "service")


@functools.cache
def modules() -> dict[Path, ast.Module]:
    """Every module of the four packages, by its path from the root."""
    files = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def tracked_files() -> list[Path]:
    """What git tracks; where there is no git, every file that `.gitignore` does not name."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    return [path for path in ROOT.rglob("*") if path.is_file() and not is_ignored(path.relative_to(ROOT), ignored)]


def is_ignored(path: Path, patterns: list[str]) -> bool:
    """True where a part of the path matches a pattern."""
    return any(fnmatch.fnmatch(part, pattern) for part in path.parts for pattern in patterns)
