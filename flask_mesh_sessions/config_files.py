"""The settings as they are written: a mapping or a YAML file, and agents' own files."""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from .config_errors import naming
from .errors import ConfigError
from .references import References

#: What settings can be read from.
Source = Mapping[str, t.Any] | str | os.PathLike[str] | None


# What PyYAML takes for a name can be an unquoted password that begins with ! or * or &.
_NAME = re.compile(r"\b(alias|anchor|handle|tag) ['\"].*", re.DOTALL)


@dataclass(frozen=True)
class AgentSource:
    """An entry of ``agents``: its values, and the file they are from if it has its own."""

    values: t.Any
    file: str | None = None


@dataclass(frozen=True)
class Document:
    """The settings with every reference replaced, and the agents with their files read."""

    values: dict[str, t.Any]
    agents: tuple[AgentSource, ...]


def read_document(source: Source, root_path: str, references: References) -> Document:
    """Read the settings and the agents' own files.

    :param source: a mapping, the path of a YAML file, or None for no settings.
    :param root_path: the folder of relative paths that do not stand in a YAML file.
    :param references: replaces ``${VAR}``.
    :raises ConfigError: naming the file or the key that is wrong.
    """
    values, file = _read_source(source, root_path)
    folder = os.path.dirname(file) if file else root_path
    with naming(file):
        resolved = _resolve(values, references)
    agents = resolved.get("agents", [])
    if not isinstance(agents, list):
        return Document(resolved, ())
    sources = [
        _read_agent(f"agents[{index}]", entry, file, folder, references)
        for index, entry in enumerate(agents)
    ]
    return Document(resolved, tuple(sources))


def _read_source(source: Source, root_path: str) -> tuple[Mapping[str, t.Any], str | None]:
    if source is None or isinstance(source, Mapping):
        return source or {}, None
    if isinstance(source, str | os.PathLike):
        file = os.path.join(root_path, os.fspath(source))
        return load_yaml(file), file
    raise ConfigError(
        f"MESH_SESSIONS must be a mapping or the path of a YAML file, not {type(source).__name__}."
    )


def _read_agent(
    key: str, entry: object, main: str | None, folder: str, references: References
) -> AgentSource:
    if not isinstance(entry, str | os.PathLike):
        return AgentSource(entry)
    file = os.path.join(folder, os.fspath(entry))
    if main and os.path.realpath(file) == os.path.realpath(main):
        raise ConfigError(f"{key}: {file} is the very file that lists the agents.")
    try:
        values = load_yaml(file)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error.message}") from error.__cause__
    with naming(file):
        resolved = _resolve(values, references, key)
    return AgentSource({"name": Path(file).stem, **resolved}, file)


def _resolve(
    values: Mapping[str, t.Any], references: References, path: str = ""
) -> dict[str, t.Any]:
    kept = {k: v for k, v in values.items() if not (isinstance(k, str) and k.startswith("x-"))}
    try:
        return t.cast("dict[str, t.Any]", references.resolve(kept, path))
    except RecursionError:
        raise ConfigError(f"{path or 'The settings'}: nested too deeply, or in itself.") from None


def load_yaml(file: str) -> dict[str, t.Any]:
    """The mapping in a YAML file.

    :raises ConfigError: naming the file, if it cannot be read, is not YAML or not a mapping,
        or has a key twice.
    """
    try:
        values = yaml.load(Path(file).read_bytes(), _Loader)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:
        # "from None": PyYAML's own message quotes the line, which may hold a password.
        raise ConfigError(f"{file}: {_yaml_problem(error)}.") from None
    except RecursionError:
        raise ConfigError(f"{file}: nested too deeply.") from None
    if not isinstance(values, dict):
        what = "is empty" if values is None else f"holds a {type(values).__name__}"
        raise ConfigError(f"{file}: must hold a mapping of settings, but {what}.")
    return values


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        what = _NAME.sub(r"\1", " ".join(filter(None, [error.context, error.problem])))
        mark = error.problem_mark
        return f"{what} in line {mark.line + 1}, column {mark.column + 1}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"not UTF-8 text: {error.reason} at position {error.position}"
    return "not valid YAML: a value cannot be what it looks like (a date, a number)"


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which does not let the last of two equal keys win."""

    def compose_mapping_node(self, anchor: t.Any) -> yaml.MappingNode:
        # Here, and not when the mapping is constructed: by then merge keys are flattened.
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if name in seen:
                raise yaml.composer.ComposerError(
                    problem=f"found the key {key.value} twice", problem_mark=key.start_mark
                )
            seen.add(name)
        return node
