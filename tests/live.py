"""Real servers in processes of their own, and a browser's way of talking to them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEY = "a key that is only for tests, and long enough"


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server in a process of its own.

    :param folder: its instance folder, made if it is not there.
    :param command: what is run; it has to serve on ``port``.
    """

    def __init__(self, folder: Path, port: int, command: list[str], **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "server.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "SESSION_SECRET_KEY": KEY, **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        """Kill -9, its workers too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def terminate(self) -> int:
        """Ask it to end, and wait until it has.

        :return: its exit status.
        """
        self.process.terminate()
        return self.process.wait(60)

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while True:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.url}/api/v1/health", timeout=5),
            ):
                return
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"The server did not start:\n{self.log.read_text()}")
            time.sleep(0.1)


def gunicorn(folder: Path, app: str, *options: str, **environment: str) -> Server:
    """A gunicorn of several workers."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *options, app]
    return Server(folder, port, command, INSTANCE=str(folder), **environment)


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: t.Mapping[str, str]
    body: bytes

    @property
    def json(self) -> t.Any:
        """The body as JSON."""
        return json.loads(self.body)


class Browser:
    """Keeps cookies and talks to any server of a site, as if there were a proxy before them."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def __call__(
        self, server: Server, method: str, path: str, body: t.Any = None, **headers: str
    ) -> Answer:
        """Make a request below ``/api/v1``; ``body`` is sent as JSON."""
        response = self._open(server, method, path, body, headers)
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        self._keep(response)
        return answer

    def stream(
        self, server: Server, method: str, path: str, body: t.Any = None, **headers: str
    ) -> t.Iterator[tuple[str, t.Any, str | None]]:
        """Server-sent events as they come: name, data and id. Leaves when it is closed."""
        headers["Accept"] = "text/event-stream"
        response = self._open(server, method, path, body, headers)
        assert response.status == 200, response.read()
        self._keep(response)
        try:
            yield from _events(response)
        finally:
            response.close()

    def session(self, server: Server) -> str:
        """A new conversation."""
        made = self(server, "POST", "/sessions", {})
        assert made.status == 201, made.body
        session_id: str = made.json["data"]["id"]
        return session_id

    def say(self, server: Server, session: str, text: str, agent: str) -> dict[str, t.Any]:
        """The finished task of a message."""
        sent = self(server, "POST", f"/sessions/{session}/messages", {"text": text, "agent": agent})
        assert sent.status == 200, sent.body
        task: dict[str, t.Any] = sent.json
        return task

    def _open(
        self, server: Server, method: str, path: str, body: t.Any, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        sent = {**headers, "Connection": "close"}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        connection.request(method, f"/api/v1{path}", data, sent)
        return connection.getresponse()

    def _keep(self, response: http.client.HTTPResponse) -> None:
        for line in response.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value


def _events(response: http.client.HTTPResponse) -> t.Iterator[tuple[str, t.Any, str | None]]:
    fields: dict[str, str] = {}
    while line := response.readline():
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], json.loads(fields["data"]), fields.get("id")
            fields = {}


def reply(task: dict[str, t.Any]) -> str:
    """What the agent said in a task."""
    bubbles = json.loads(task["messageBubbles"])
    return "".join(bubble["text"] for bubble in bubbles if bubble["type"] == "agent")
