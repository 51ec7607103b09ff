"""Many processes that migrate the same databases at the same moment.

Run as a program it reads one JSON request per line and answers each with one line: what
became of every process. The processes are forked for each request, so that a crowd on a
fresh database costs no start of an interpreter.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from flask_mesh_sessions import faults
from flask_mesh_sessions.storage import migration_lease, migration_scripts, migrations
from flask_mesh_sessions.storage.schema import METADATA

#: Short enough to wait for, long enough for a busy machine to renew in.
LEASE_SECONDS = 3.0


class Member(t.NamedTuple):
    """What became of one process."""

    #: How many revisions it ran.
    runs: int
    error: str | None
    killed: bool


class Crowd:
    """A helper program that answers requests.

    :param folder: where the members leave notes for each other.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )

    def upgrade(
        self, *members: t.Sequence[migrations.Target], fault: str | None = None
    ) -> list[Member]:
        """Upgrade in one process per member, all let go at once.

        :param members: the targets of each process.
        :param fault: where the first process that gets there is killed.
        """
        request = {
            "members": [[[target.schema, target.url] for target in one] for one in members],
            "fault": fault,
            "token": str(self._folder / f"killed-{os.urandom(8).hex()}"),
        }
        assert self._program.stdin and self._program.stdout
        self._program.stdin.write(json.dumps(request) + "\n")
        self._program.stdin.flush()
        return [Member(*answer) for answer in json.loads(self._program.stdout.readline())]

    def close(self) -> None:
        self._program.communicate()


def main() -> None:
    migration_lease.LEASE_SECONDS = LEASE_SECONDS
    for schema in METADATA:  # the scripts are read once, before the forks
        migration_scripts.head(schema)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


def answer(request: dict[str, t.Any]) -> list[Member]:
    wait_here, go = os.pipe()
    started = [start(targets, request, wait_here, go) for targets in request["members"]]
    os.close(wait_here)
    os.close(go)
    return [collect(process, results) for process, results in started]


def start(
    targets: list[list[t.Any]], request: dict[str, t.Any], wait_here: int, go: int
) -> tuple[int, int]:
    results, write_here = os.pipe()
    process = os.fork()
    if process:
        os.close(write_here)
        return process, results
    os.close(go)
    os.read(wait_here, 1)  # until the last writer has closed
    if request["fault"]:
        arm(request["fault"], request["token"])
    os.write(write_here, json.dumps(upgrade(targets)).encode())
    os._exit(0)


def arm(fault: str, token: str) -> None:
    os.environ[faults.VARIABLE] = fault
    importlib.reload(faults)
    kill = faults.point

    def point(name: str) -> None:
        if name == fault:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(token, os.O_CREAT | os.O_EXCL))
                kill(name)

    faults.point = point


def upgrade(targets: list[list[t.Any]]) -> tuple[int, str | None]:
    ran = Ran()
    logger = logging.getLogger("alembic.runtime.migration")
    logger.setLevel(logging.INFO)
    logger.addHandler(ran)
    try:
        migrations.upgrade([migrations.Target(schema, url) for schema, url in targets])
    except Exception as error:
        return ran.count, repr(error)
    return ran.count, None


class Ran(logging.Handler):
    """Counts the revisions Alembic says it runs."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.getMessage().startswith("Running upgrade")


def collect(process: int, results: int) -> Member:
    with open(results) as stream:
        text = stream.read()
    _, status = os.waitpid(process, 0)
    if not text:
        return Member(0, None, os.WIFSIGNALED(status))
    runs, error = json.loads(text)
    return Member(runs, error, False)


if __name__ == "__main__":
    main()
