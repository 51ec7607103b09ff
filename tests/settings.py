"""Reading settings in tests."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from flask_mesh_sessions.config import MeshConfig, load_config
from flask_mesh_sessions.errors import ConfigError

INSTANCE = "/srv/app/instance"


def load(source: t.Any = None, environ: t.Any = None, root_path: t.Any = "/srv/app") -> MeshConfig:
    return load_config(
        source, instance_path=INSTANCE, root_path=str(root_path), environ=environ or {}
    )


def refusal(source: t.Any, environ: t.Any = None, root_path: t.Any = "/srv/app") -> str:
    with pytest.raises(ConfigError) as caught:
        load(source, environ, root_path)
    return str(caught.value)


def sql(url: str, **more: str) -> dict[str, str]:
    return {"type": "sql", "database_url": url, **more}


def gateway_url(url: str) -> str | None:
    return load({"session_service": sql(url)}).session_service.database_url


def write(folder: Path, text: str, name: str = "mesh.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
