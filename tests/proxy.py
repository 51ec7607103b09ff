"""A TCP proxy between the tests and a database, which can lose connections and answers."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t


class Proxy:
    """Passes bytes on until it is told not to.

    :param target: host and port of the database.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._swallow: bytes | None = None
        self._spared = 0
        self._leave = False
        self._refusing = False
        #: How many connections were made.
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Drop every connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(*pair)

    def lose_answer_to(self, statement: bytes, after: int = 0, *, leave: bool = False) -> None:
        """Drop the next connection that sends ``statement``, when it has been answered.

        :param after: how often it is let pass before.
        :param leave: the database cannot be reached from then on, until it is back.
        """
        self._leave = leave
        self._spared = after
        self._swallow = statement

    def come_back(self) -> None:
        """The database can be reached again."""
        self._refusing = False

    @property
    def lost(self) -> bool:
        """Whether an answer that was to be lost has been lost."""
        return self._swallow is None

    @contextlib.contextmanager
    def away(self) -> t.Iterator[None]:
        """The database cannot be reached inside of the ``with`` block."""
        self._refusing = True
        self.cut()
        try:
            yield
        finally:
            self._refusing = False

    def close(self) -> None:
        """Stop."""
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._refusing:
                _close(client)
                continue
            server = socket.create_connection(self._target)
            with self._lock:
                self._pairs.append((client, server))
            lost = threading.Event()
            for work in (self._to_server, self._to_client):
                threading.Thread(target=work, args=(client, server, lost), daemon=True).start()

    def _to_server(
        self, client: socket.socket, server: socket.socket, lost: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._swallow is not None and self._swallow in data:
                    self._spared -= 1
                    if self._spared < 0:
                        self._swallow = None
                        self._refusing = self._leave
                        lost.set()
                server.sendall(data)
        _close(client, server)

    def _to_client(
        self, client: socket.socket, server: socket.socket, lost: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if lost.is_set():
                    if self._leave:
                        self.cut()
                    break
                client.sendall(data)
        _close(client, server)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
