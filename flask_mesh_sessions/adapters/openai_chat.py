"""An agent that is nothing but a model: any server that speaks OpenAI's chat protocol."""

from __future__ import annotations

import typing as t

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
        with _client(model) as client:
            chunks = client.chat.completions.create(
                model=model.name,
                messages=messages + turn.messages,
                stream=True,
                stream_options={"include_usage": True},
            )
            with chunks:
                for chunk in chunks:
                    if chunk.usage is not None:
                        _record(turn, model, chunk.usage)
                    if chunk.choices and chunk.choices[0].delta.content:
                        yield chunk.choices[0].delta.content

    return answer


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
