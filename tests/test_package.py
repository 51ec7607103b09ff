"""The package as it is built: what a wheel and a source archive hold, what they ask for."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
import typing as t
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
NAME = "flask-mesh-sessions"
JUNK = shutil.ignore_patterns(
    ".*", "__pycache__", "*.pyc", "*.egg-info", "build", "dist", "_build", "instance", "*.db*"
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, in which a build leaves what it leaves."""
    folder = tmp_path_factory.mktemp("checkout") / "tree"
    shutil.copytree(ROOT, folder, ignore=JUNK)
    return folder


def run(command: t.Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> set[str]:
    """The names in a wheel built from the tree."""
    out = checkout.parent / "wheel"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out)]
    run([sys.executable, "-m", "pip", "wheel", *options, "."], checkout)
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def source_archive(checkout: Path) -> set[str]:
    """The names in a source archive built from the tree, without its outer folder."""
    out = checkout.parent / "source"
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run([sys.executable, "-c", build, str(out)], checkout)
    (path,) = out.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files(checkout: Path, *folders: str) -> set[str]:
    found = (p for folder in folders for p in (checkout / folder).rglob("*") if p.is_file())
    return {path.relative_to(checkout).as_posix() for path in found}


def test_a_wheel_holds_every_file_of_the_package_and_nothing_else(checkout, wheel):
    packaged = {name for name in wheel if ".dist-info/" not in name}
    assert packaged == files(checkout, "flask_mesh_sessions")


def test_a_wheel_holds_the_types_marker_and_the_migrations(wheel):
    inside = {name.removeprefix("flask_mesh_sessions/") for name in wheel}
    assert {"py.typed", "migrations/env.py", "migrations/script.py.mako"} <= inside
    for schema in ("gateway", "agent", "platform"):
        pattern = re.compile(rf"migrations/{schema}/versions/\w+\.py")
        assert any(pattern.fullmatch(name) for name in inside), schema


def test_a_wheel_holds_the_license(wheel):
    assert any(name.endswith("/LICENSE") for name in wheel)


def test_a_source_archive_holds_all_it_takes_to_test_and_document(checkout, source_archive):
    folders = ("flask_mesh_sessions", "tests", "docs", "example_app", "benchmarks")
    top = {"CHANGES.rst", "LICENSE", "Makefile", "README.md", "pyproject.toml", "setup.cfg"}
    assert files(checkout, *folders) | top <= source_archive


def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements() -> list[str]:
    parser = settings()
    lists = [parser["options"]["install_requires"], *parser["options.extras_require"].values()]
    return [line.strip() for text in lists for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("line", requirements())
def test_a_requirement_has_a_lower_bound_and_no_other(line):
    requirement = Requirement(line)
    bounds = [specifier.operator for specifier in requirement.specifier]
    assert bounds == ([] if requirement.name == NAME else [">="])


def test_an_extra_that_asks_for_another_extra_asks_for_one_that_exists():
    asked = [Requirement(line) for line in requirements()]
    extras = {extra for one in asked if one.name == NAME for extra in one.extras}
    assert extras
    assert extras <= set(settings()["options.extras_require"])


def test_the_changes_begin_with_this_version():
    (first, *_) = re.findall(r"^Version (\S+)$", (ROOT / "CHANGES.rst").read_text(), re.M)
    assert first == settings()["metadata"]["version"]
