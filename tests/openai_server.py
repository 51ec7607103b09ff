"""A server that speaks OpenAI's chat completions protocol, streaming, on this machine.

It refuses what OpenAI refuses: a wrong key, malformed messages, a tool result without its
call. What it says is decided by a function of the request.
"""

from __future__ import annotations

import contextlib
import json
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-test-0123456789"
MODEL = "gpt-test"

Request = dict[str, t.Any]


class Call(t.NamedTuple):
    """A tool the model calls, with its arguments as JSON text."""

    name: str
    arguments: str


Reply = str | list[Call]
Model = t.Callable[[Request], Reply]


class OpenAIServer:
    """The server, and what it was sent.

    :param model: gives text, or the tools to call, for a request.
    """

    def __init__(self, model: Model) -> None:
        self.requests: list[Request] = []
        outer = self

        class Handler(_Handler):
            def answer_to(self, request: Request) -> Reply:
                outer.requests.append(request)
                return model(request)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> OpenAIServer:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Refused(Exception):
    """An error body of OpenAI's."""

    def __init__(self, status: int, message: str, kind: str, param: str | None, code: str | None):
        self.status = status
        error = {"message": message, "type": kind, "param": param, "code": code}
        self.body = json.dumps({"error": error}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer_to(self, request: Request) -> Reply:
        raise NotImplementedError

    def log_message(self, *arguments: object) -> None:
        """Nothing is logged."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                raise _unauthorized(self.headers.get("Authorization", ""))
            if self.path != "/v1/chat/completions":
                message = f"Invalid URL (POST {self.path})"
                raise Refused(404, message, "invalid_request_error", None, None)
            request = json.loads(content)
            check(request)
            self._stream(request, self.answer_to(request))
        except Refused as refused:
            self._send(refused.status, "application/json", refused.body)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, request: Request, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for chunk in chunks(request, reply):
                self._chunk(f"data: {json.dumps(chunk)}\n\n")
            self._chunk("data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def chunks(request: Request, reply: Reply) -> t.Iterator[dict[str, t.Any]]:
    """The chunks of a streamed answer, the one with the usage at its end."""
    usage = request.get("stream_options", {}).get("include_usage")

    def chunk(choices: list[t.Any], **more: t.Any) -> dict[str, t.Any]:
        common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000}
        without = {"usage": None} if usage else {}
        return {**common, "model": request["model"], "choices": choices, **without, **more}

    def delta(finish: str | None = None, **values: t.Any) -> dict[str, t.Any]:
        return chunk([{"index": 0, "delta": values, "logprobs": None, "finish_reason": finish}])

    yield delta(role="assistant", content="" if isinstance(reply, str) else None)
    if isinstance(reply, str):
        for word in reply.split(" "):
            yield delta(content=word if word == reply.split(" ")[0] else f" {word}")
        yield delta(finish="stop")
    else:
        for index, call in enumerate(reply):
            named = {"name": call.name, "arguments": ""}
            head = {"index": index, "id": f"call_{index}", "type": "function", "function": named}
            yield delta(tool_calls=[head])
            middle = len(call.arguments) // 2
            for part in (call.arguments[:middle], call.arguments[middle:]):
                yield delta(tool_calls=[{"index": index, "function": {"arguments": part}}])
        yield delta(finish="tool_calls")
    if usage:
        yield chunk([], usage=usage_of(request, reply))


def usage_of(request: Request, reply: Reply) -> dict[str, t.Any]:
    """What an answer costs: a token for every word."""
    sent = sum(len(str(message.get("content") or "").split()) for message in request["messages"])
    received = len(str(reply).split())
    return {
        "prompt_tokens": sent,
        "completion_tokens": received,
        "total_tokens": sent + received,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    }


def check(request: Request) -> None:
    """Refuse what OpenAI refuses."""
    if request.get("model") != MODEL:
        message = f"The model `{request.get('model')}` does not exist"
        raise Refused(404, message, "invalid_request_error", None, "model_not_found")
    if request.get("stream") is not True:
        raise _invalid("This server streams only.", "stream")
    open_calls: set[str] = set()
    for index, message in enumerate(request["messages"]):
        where = f"messages.[{index}]"
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                why = "messages with role 'tool' must be a response to a preceding message with"
                raise _invalid(f"Invalid parameter: {why} 'tool_calls'.", f"{where}.role")
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            why = "An assistant message with 'tool_calls' must be followed by tool messages"
            raise _invalid(f"{why}: {sorted(open_calls)}", f"{where}.role")
        elif message["role"] not in ("system", "user", "assistant"):
            raise _invalid(f"Invalid value: '{message['role']}'.", f"{where}.role")
        elif not isinstance(message.get("content"), str) and "tool_calls" not in message:
            raise _invalid("Invalid value for 'content': expected a string.", f"{where}.content")
        for call in message.get("tool_calls", ()):
            json.loads(call["function"]["arguments"])
            open_calls.add(call["id"])


def _invalid(message: str, param: str) -> Refused:
    return Refused(400, message, "invalid_request_error", param, None)


def _unauthorized(given: str) -> Refused:
    shown = given.removeprefix("Bearer ")[:3]
    message = f"Incorrect API key provided: {shown}***."
    return Refused(401, message, "invalid_request_error", None, "invalid_api_key")
