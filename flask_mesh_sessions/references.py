"""``${VAR}`` and ``${VAR, default}``, replaced in settings that are already parsed.

Replacing them in the parsed values, never in the YAML text, is what makes a password with
``#``, ``"`` or ``:`` safe, and keeps what a variable holds from being read as a reference
or as structure.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from sqlalchemy.engine import URL

from .errors import ConfigError

_REFERENCE = re.compile(r"\$\{\s*(?P<name>[^\s,:{}$]+)\s*(?:,(?P<default>[^}]*))?\}")
_OPENING = re.compile(r"\$\{")
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "int", "null")}


@dataclass(frozen=True)
class References:
    """Replaces references by what the environment holds.

    :param environ: the environment variables.
    :param text_keys: the keys whose values, or whose list's items, stay text whatever they
        look like.
    """

    environ: Mapping[str, str]
    text_keys: frozenset[str] = frozenset()

    def resolve(self, value: object, path: str = "", key: str = "") -> t.Any:
        """A copy of ``value``, with every reference in it replaced.

        Mappings become dicts without the keys that have no value (null), sequences lists.

        :param value: a parsed setting.
        :param path: where it stands, for error messages.
        :param key: the mapping key it stands under.
        :raises ConfigError: naming the variable and the path, where a variable is not set
            and there is no default, and where a reference is malformed.
        """
        if isinstance(value, str):
            return self._text(value, path, key)
        if isinstance(value, URL):
            return value.render_as_string(hide_password=False)
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        if isinstance(value, list | tuple):
            return [self.resolve(v, f"{path}[{i}]", key) for i, v in enumerate(value)]
        return value

    def _mapping(self, value: Mapping[t.Any, t.Any], path: str) -> dict[str, t.Any]:
        resolved = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{path or 'The settings'}: the key {key!r} must be text.")
            resolved[key] = self.resolve(inner, f"{path}.{key}" if path else key, key)
        return {key: inner for key, inner in resolved.items() if inner is not None}

    def _text(self, value: str, path: str, key: str) -> object:
        pieces, end = [], 0
        for opening in _OPENING.finditer(value):
            if opening.start() < end:
                raise _malformed(path, "a default cannot hold another reference")
            reference = _REFERENCE.match(value, opening.start())
            if reference is None:
                raise _malformed(path, "a reference is malformed")
            pieces += [value[end : opening.start()], self._variable(reference, path)]
            end = reference.end()
        text = "".join([*pieces, value[end:]])
        alone = _REFERENCE.fullmatch(value.strip()) is not None
        return yaml_scalar(text.strip()) if alone and key not in self.text_keys else text

    def _variable(self, reference: re.Match[str], path: str) -> str:
        name, default = reference["name"], reference["default"]
        if value := self.environ.get(name):
            return value
        if default is None:
            raise ConfigError(
                f"{path}: the environment variable {name} is not set or empty, and there is no"
                f" default. Set it, or write ${{{name}, default}}."
            )
        return t.cast(str, default.strip())


def yaml_scalar(text: str) -> object:
    """``text`` as YAML types a plain scalar: a bool, a number, None, or else ``text`` itself."""
    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag not in _SCALARS:
        return text
    try:
        return t.cast(object, loader.construct_object(yaml.ScalarNode(tag, text)))
    except ValueError:  # YAML 1.1 takes "0x_" for a number, Python does not
        return text


def _malformed(path: str, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: {why}. Write ${{VAR}} or ${{VAR, default}}; text that holds a literal"
        " ${ can come from a variable."
    )
