"""Who imports whom in a package, read from the source without running it."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

Imports = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """The dotted name and the path of every module of the package in folder ``root``."""
    return {_dotted(root, path): path for path in sorted(root.rglob("*.py"))}


def _dotted(root: Path, path: Path) -> str:
    parts = [root.name, *path.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(root: Path) -> Imports:
    """What each module of the package imports, wherever in it the import stands.

    Modules of the package are named to the module (``pkg.room.part``), others as written.
    """
    known = modules(root)
    return {name: set(_targets(name, path, known)) for name, path in known.items()}


def _targets(name: str, path: Path, known: t.Container[str]) -> t.Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _source(package, node)
            for alias in node.names:
                part = f"{source}.{alias.name}"
                yield part if part in known else source
        elif isinstance(node, ast.Call):
            yield from _dynamic(package, node)


def _source(package: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    base = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _dynamic(package: str, call: ast.Call) -> t.Iterator[str]:
    """The target of ``import_module("…")``, with which an import could be hidden."""
    name = getattr(call.func, "attr", getattr(call.func, "id", None))
    if name not in ("import_module", "__import__") or not call.args:
        return
    argument = call.args[0]
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        target = argument.value
        level = len(target) - len(target.lstrip("."))
        relative = ast.ImportFrom(target.lstrip(".") or None, [], level)
        yield _source(package, relative)


def closure(start: str, graph: Imports) -> set[str]:
    """Everything ``start`` imports, directly or through other modules of the package."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        new = graph.get(todo.pop(), set()) - seen
        seen |= new
        todo.extend(new)
    return seen
