"""The order of the rooms: a module imports only from rooms below its own."""

from __future__ import annotations

import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests import imports

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "flask_mesh_sessions"

#: From the top down. Rooms on one line stand on one floor.
FLOORS = (
    ("", "testing"),
    ("extension",),
    ("cli",),
    ("web",),
    ("ui",),
    ("adapters",),
    ("runtime",),
    ("compaction",),
    ("gateway", "agents", "platform"),
    ("web_session", "identity"),
    ("migrations",),
    ("storage",),
    ("keys", "config", "urls", "references"),
    ("signals", "ids", "errors", "faults", "clock"),
)
HEIGHT = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}
STRANGERS = {"gateway", "agents", "platform"}
PURE = ("compaction.cut", "compaction.tokens", "compaction.overflow")
IMPURE = {"flask", "flask_sqlalchemy", "sqlalchemy", "alembic"}
OPTIONAL = {
    "anthropic",
    "flask_migrate",
    "google",
    "litellm",
    "numpy",
    "alembic",
    "openai",
    "playwright",
    "tiktoken",
}


def room(module: str) -> str:
    """The room a module of the package belongs to; ``config_*.py`` are parts of one room."""
    name = (module.split(".") + [""])[1]
    return "config" if name.startswith("config_") else name


def is_room(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def upward(package: Path) -> list[str]:
    """Every import that leads up, or across the floor of rooms that must not meet."""
    wrong = []
    for module, targets in imports.imports(package).items():
        for target in sorted(t for t in targets if is_room(t, package.name)):
            here, there = room(module), room(target)
            strange = here != there and {here, there} <= STRANGERS
            if HEIGHT[there] > HEIGHT[here] or strange:
                wrong.append(f"{module} imports {target}")
    return wrong


def impure(package: Path) -> list[str]:
    """Every pure module that reaches a database or Flask."""
    graph = imports.imports(package)
    found = []
    for module in (f"{package.name}.{name}" for name in PURE):
        parts = [m for m in graph if m == module or m.startswith(f"{module}_")]
        for part in parts:
            reached = {name.split(".")[0] for name in imports.closure(part, graph)}
            found += [f"{part} reaches {name}" for name in sorted(reached & IMPURE)]
    return found


def circle(package: Path) -> list[str]:
    """The modules of a circle of imports, if there is one."""
    try:
        graphlib.TopologicalSorter(imports.imports(package)).prepare()
    except graphlib.CycleError as error:
        names: list[str] = error.args[1]
        return names
    return []


def tree(folder: Path, **sources: str) -> Path:
    """A package made of ``room__module="source"``."""
    package = folder / "house"
    for name, source in {"__init__": "", **sources}.items():
        path = package.joinpath(*name.split("___")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return package


def test_every_module_belongs_to_a_room():
    assert {room(name) for name in imports.modules(PACKAGE)} <= set(HEIGHT)


def test_imports_lead_downwards():
    assert upward(PACKAGE) == []


def test_there_are_no_circles():
    assert circle(PACKAGE) == []


def test_pure_modules_know_no_database_and_no_flask():
    assert impure(PACKAGE) == []


def test_no_module_is_longer_than_400_lines():
    lengths = {n: len(p.read_text().splitlines()) for n, p in imports.modules(PACKAGE).items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from ..runtime import turn",
        "from .. import runtime",
        "import house.runtime.turn",
        "from house import runtime",
        "def later():\n    from ..runtime.turn import Turn",
        "import typing as t\nif t.TYPE_CHECKING:\n    from ..runtime import turn",
        "import importlib\nimportlib.import_module('house.runtime')",
    ],
)
def test_an_import_that_leads_up_is_found(tmp_path, source):
    package = tree(tmp_path, runtime___turn="", storage___engines=source)
    assert len(upward(package)) == 1


def test_an_import_across_the_floor_is_found(tmp_path):
    package = tree(tmp_path, gateway___tables="", agents___log="from ..gateway import tables")
    assert upward(package) == ["house.agents.log imports house.gateway.tables"]


def test_an_import_that_leads_down_or_stays_is_allowed(tmp_path):
    package = tree(
        tmp_path,
        errors="",
        gateway___tables="from .. import errors",
        gateway___service="from . import tables\nfrom .tables import x\nimport flask",
        runtime___turn="from ..gateway.service import y",
    )
    assert upward(package) == []


def test_a_circle_is_found(tmp_path):
    package = tree(tmp_path, storage___a="from . import b", storage___b="from .a import x")
    assert set(circle(package)) == {"house.storage.a", "house.storage.b"}


def test_a_pure_module_that_reaches_a_database_through_another_is_found(tmp_path):
    package = tree(
        tmp_path,
        compaction___cut="from ..storage import types",
        storage___types="from sqlalchemy.orm import Session",
    )
    assert impure(package) == ["house.compaction.cut reaches sqlalchemy"]


IMPORT_QUIETLY = """
import sys
before = set(sys.modules)

def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"importing the package used the network: {event} {args}")

sys.addaudithook(refuse)
import flask_mesh_sessions
assert flask_mesh_sessions.__file__, "the package has no __init__.py"
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""


def test_importing_the_package_loads_nothing_optional_and_uses_no_network():
    command = [sys.executable, "-c", IMPORT_QUIETLY]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.split()) & OPTIONAL == set()
