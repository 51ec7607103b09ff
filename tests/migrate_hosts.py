"""Host apps on disk, and the ``flask`` commands that are run in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from flask_mesh_sessions.storage import migrations
from flask_mesh_sessions.storage.migrations import Target

ROOT = Path(__file__).parent.parent

#: ``mesh`` is the extension, ``db`` is SQLAlchemy, ``migrate`` is Flask-Migrate.
AFTER = ["db", "migrate", "mesh"]
BEFORE = ["mesh", "db", "migrate"]
#: What ``flask db init`` made the first time.
TEMPLATE: dict[str, str] = {}
OURS = frozenset.union(*migrations.OWNED_TABLES.values())


class Host:
    """A host app, and what its commands answer.

    :param folder: where its migrations are.
    :param setup: see :mod:`tests.migrate_host`.
    """

    def __init__(self, folder: Path, **setup: t.Any) -> None:
        self.folder = folder
        self.setup = setup
        folder.mkdir(exist_ok=True)

    def run(self, *arguments: str, fails: bool = False, program: str = "flask") -> str:
        command = [sys.executable, "-m", program, *arguments]
        environment = {
            **os.environ,
            "HOST": json.dumps(self.setup),
            "FLASK_APP": "tests.migrate_host:create_app",
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def init(self) -> None:
        """As ``flask db init``, which takes a while, and always makes the same."""
        if not TEMPLATE:
            self.run("db", "init")
            folder = self.folder / "migrations"
            TEMPLATE.update(
                {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
            )
            return
        (self.folder / "migrations" / "versions").mkdir(parents=True)
        for name, text in TEMPLATE.items():
            (self.folder / "migrations" / name).write_text(text)

    def newest(self) -> str:
        """The text of the last generated revision."""
        files = (self.folder / "migrations" / "versions").glob("*.py")
        return max(files, key=lambda file: file.stat().st_mtime_ns).read_text()

    def revisions(self) -> int:
        return len(list((self.folder / "migrations" / "versions").glob("*.py")))

    def write_revision(self, body: str) -> None:
        """A first revision by hand."""
        (self.folder / "migrations" / "versions" / "first.py").write_text(
            f"from alembic import op\nimport sqlalchemy as sa\nrevision = 'a1'\n"
            f"down_revision = None\n\ndef upgrade():\n    {body}\n\ndef downgrade():\n    pass\n"
        )


def databases(folder: Path) -> dict[str, str]:
    """A database each for the host, the gateway, two agents and the platform."""
    return {
        name: f"sqlite:///{folder}/{name}.db" for name in ("host", "gateway", "a", "b", "platform")
    }


def targets(own: dict[str, str]) -> list[tuple[str, str]]:
    return [
        ("platform", own["platform"]),
        ("agent", own["a"]),
        ("agent", own["b"]),
        ("agent", own["a"]),
        ("gateway", own["gateway"]),
    ]


def shared(url: str) -> list[tuple[str, str]]:
    return [("gateway", url), ("agent", url), ("platform", url)]


def behind(pairs: t.Iterable[tuple[t.Any, str]]) -> set[str]:
    return {one.target.schema for one in migrations.pending(Target(*pair) for pair in pairs)}
