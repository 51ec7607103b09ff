"""An agent that is nothing but a model: any server that speaks OpenAI's chat protocol."""

from __future__ import annotations

import typing as t

from ..agents.messages import Message
from ..compaction.compactor import SummaryRequest
from ..config import Model
from ..errors import ConfigError
from ..runtime.turn import Turn


def chat_agent(model: Model, system: str | None = None) -> t.Callable[[Turn], t.Iterator[str]]:
    """An agent function that streams a model's answers.

    It needs the ``openai`` package, which is imported with the first message.

    :param model: the model's name, and where and with which key it is reached; what is
        left out comes from ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``.
    :param system: the system prompt.
    """

    def answer(turn: Turn) -> t.Iterator[str]:
        messages = [{"role": "system", "content": system}] if system else []
        return _streamed(model, messages + turn.messages, lambda usage: _record(turn, model, usage))

    return answer


def chat_summarizer(model: Model) -> t.Callable[[SummaryRequest], str]:
    """What makes summaries with a model.

    :param model: as for :func:`chat_agent`.
    """

    def summarize(request: SummaryRequest) -> str:
        return "".join(_streamed(model, request.messages, lambda usage: None))

    return summarize


def _streamed(
    model: Model, messages: list[Message], used: t.Callable[[t.Any], None]
) -> t.Iterator[str]:
    """A model's answer as it comes.

    :param used: is given what the call took, in OpenAI's shape.
    """
    with _client(model) as client:
        chunks = client.chat.completions.create(
            model=model.name,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
        with chunks:
            for chunk in chunks:
                if chunk.usage is not None:
                    used(chunk.usage)
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content


def _client(model: Model) -> t.Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The model {model.name!r} needs the openai package:"
            " pip install 'flask-mesh-sessions[openai]'"
        ) from error
    return openai.OpenAI(api_key=model.api_key, base_url=model.api_base)


def _record(turn: Turn, model: Model, usage: t.Any) -> None:
    details = usage.prompt_tokens_details
    turn.record_usage(
        model=model.name,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=details.cached_tokens if details else None,
        max_input_tokens=model.max_input_tokens,
    )
