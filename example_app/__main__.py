"""``python -m example_app``: migrate everything, serve, and say where."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import signal
import socket
from pathlib import Path

import flask_migrate
from flask import Flask
from werkzeug.serving import make_server

from . import create_app

PORTS_TO_TRY = 50


def main() -> None:
    """Serve the app until it is stopped."""
    options = parse()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for chatty in ("alembic", "werkzeug"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    app = create_app(instance_path=options.instance)
    with app.app_context():
        flask_migrate.upgrade()
    with listen(options.host, options.port) as listener:
        serve(app, listener, options.port)


def parse() -> argparse.Namespace:
    """What was asked for on the command line and in the environment."""
    parser = argparse.ArgumentParser("python -m example_app", description="Serve the example app.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("PORT") or 5000,
        help="the port to listen on, or the next one that is free; default: PORT, else 5000",
    )
    parser.add_argument(
        "--instance",
        type=lambda path: str(Path(path).resolve()),
        help="the folder for databases and keys; default: instance/ in the checkout",
    )
    return parser.parse_args()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on ``port``, or on the next one that is free."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    for candidate in range(port, min(port + PORTS_TO_TRY, 65536)):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise SystemExit(f"Cannot listen on {host}:{candidate}: {error.strerror}") from None
        else:
            return listener
    raise SystemExit(f"No port from {port} on is free. --port names another.")


def serve(app: Flask, listener: socket.socket, wanted: int) -> None:
    """Answer requests until Ctrl+C or SIGTERM."""
    host, port = listener.getsockname()[:2]
    with contextlib.suppress(KeyboardInterrupt):
        # Before anybody can know that there is something to stop.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        server = make_server(host, port, app, threaded=True, fd=listener.fileno())
        if wanted not in (0, port):
            print(f"\nPort {wanted} is taken, so this is on port {port}.")
        _greet(app, listener)
        server.serve_forever()
    print("\nStopping. Answers under way are finished first.", flush=True)


def _greet(app: Flask, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"\n    Commonplace is ready:  http://{shown}:{port}/\n")
    print(f"    Everything is kept in  {app.instance_path}")
    print("    Ctrl+C stops it; start it again, and it remembers.\n", flush=True)


if __name__ == "__main__":
    main()
