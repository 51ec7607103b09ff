"""What providers answer when a request does not fit the context window.

All of these were in sight when the rules were written.
"""

from __future__ import annotations

import typing as t


class Said(t.NamedTuple):
    """An answer, and the limit and the use that it carries."""

    provider: str
    body: t.Any
    limit: int | None = None
    used: int | None = None


def openai(message: str, **fields: t.Any) -> dict[str, t.Any]:
    """An error body in OpenAI's form."""
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


TUNED = [
    Said(
        "openai",
        openai(
            "This model's maximum context length is 8192 tokens. However, your messages resulted"
            " in 8227 tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        ),
        8192,
        8227,
    ),
    Said(
        "openai completion",
        "This model's maximum context length is 4097 tokens, however you requested 4130 tokens"
        " (130 in your prompt; 4000 for the completion). Please reduce your prompt; or completion"
        " length.",
        4097,
        4130,
    ),
    Said(
        "openai old chat",
        "This model's maximum context length is 4096 tokens. However, you requested 4104tokens"
        " (3104 in the messages, 1000 in the completion).",
        4096,
        4104,
    ),
    Said(
        "openai gpt-5",
        openai(
            "Input tokens exceed the configured limit of 272,000 tokens. Your messages resulted in"
            " 477,469 tokens. Please reduce the length of the messages."
        ),
        272000,
        477469,
    ),
    Said(
        "openai responses",
        openai(
            "Your input exceeds the context window of this model. Please adjust your input and"
            " try again.",
            code="context_length_exceeded",
        ),
    ),
    Said(
        "openai responses stream",
        {
            "type": "response.failed",
            "response": {
                "status": "failed",
                "output": [],
                "error": {"code": "context_length_exceeded", "message": "Input is too long."},
            },
        },
    ),
    Said(
        "openai responses event",
        {"type": "error", "code": "context_length_exceeded", "message": "Too long", "param": None},
    ),
    Said(
        "azure",
        "Error code: 400 - {'error': {'message': \"This model's maximum context length is 16385"
        " tokens. However, your messages resulted in 20014 tokens (19514 in the messages, 500 in"
        " the functions).\", 'type': 'invalid_request_error', 'param': 'messages', 'code':"
        " 'context_length_exceeded'}}",
        16385,
        20014,
    ),
    Said(
        "anthropic",
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 216868 tokens > 200000 maximum",
            },
            "request_id": "req_1",
        },
        200000,
        216868,
    ),
    Said(
        "anthropic with max_tokens",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease"
        " input length or `max_tokens` and try again",
        200000,
        210000,
    ),
    Said(
        "anthropic 413",
        {
            "type": "error",
            "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"},
        },
    ),
    Said(
        "anthropic stop",
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "and so"}],
            "stop_reason": "model_context_window_exceeded",
        },
    ),
    Said(
        "anthropic stream",
        'event: message_delta\ndata: {"type": "message_delta", "delta": {"stop_reason":'
        ' "model_context_window_exceeded"}, "usage": {"output_tokens": 5}}\n\n',
    ),
    Said(
        "gemini",
        {
            "error": {
                "code": 400,
                "message": "The input token count (1196265) exceeds the maximum number of tokens"
                " allowed (1048575).",
                "status": "INVALID_ARGUMENT",
            }
        },
        1048575,
        1196265,
    ),
    Said(
        "gemini file",
        [
            {
                "error": {
                    "code": 400,
                    "message": "exceeds the maximum number of tokens allowed (1048576)",
                }
            }
        ],
        1048576,
    ),
    Said("vertex", "400 Request payload size exceeds the limit: 20971520 bytes."),
    Said(
        "vertex old",
        "Unable to submit request because the input token count is 40211 but model only supports up"
        " to 32768. Reduce the input token count and try again.",
        32768,
        40211,
    ),
    Said(
        "bedrock claude",
        {
            "Error": {
                "Code": "ValidationException",
                "Message": "Input is too long for requested model.",
            }
        },
    ),
    Said(
        "bedrock nova", {"message": "Input Tokens Exceeded: Number of input tokens exceeds maximum"}
    ),
    Said(
        "bedrock llama",
        {
            "validationException": {"ignored": 1},
            "message": "This model's maximum context length is 8192 tokens. Please reduce the"
            " length of the prompt",
        },
        8192,
    ),
    Said("bedrock", "The model returned the following errors: too many input tokens"),
    Said("bedrock mantle", "prompt tokens (131234) exceed model maximum (131072)", 131072, 131234),
    Said(
        "mistral",
        {
            "object": "error",
            "message": "Prompt contains 65673 tokens and 0 draft tokens, too large for model with"
            " 32768 maximum context length",
            "type": "invalid_request_invalid_args",
            "code": "3051",
        },
        32768,
        65673,
    ),
    Said(
        "cohere",
        {
            "message": "too many tokens: size limit exceeded by 1203 tokens. Try using shorter or"
            " fewer inputs, or setting prompt_truncation='AUTO'."
        },
    ),
    Said(
        "xai",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        131072,
        537812,
    ),
    Said(
        "groq",
        openai(
            "Please reduce the length of the messages or completion.",
            code="context_length_exceeded",
        ),
    ),
    Said(
        "openrouter",
        openai(
            "This endpoint's maximum context length is 131072 tokens. However, you requested about"
            " 140523 tokens (132331 of text input, 8192 in the output). Please reduce the length of"
            ' either one, or use the "middle-out" transform.',
            code=400,
        ),
        131072,
        140523,
    ),
    Said(
        "openrouter wrapped",
        {
            "message": "400 Provider returned error",
            "details": {
                "metadata": {
                    "raw": '{"error":{"message":"This model\'s maximum context length is 262144'
                    ' tokens. However, your messages resulted in 262897 tokens.","code":400}}'
                }
            },
        },
        262144,
        262897,
    ),
    Said(
        "vllm",
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested"
            " 4282 tokens (4182 in the messages, 100 in the completion).",
            "code": 400,
        },
        4096,
        4282,
    ),
    Said(
        "vllm new",
        "'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context"
        " length is 8192 tokens and your request has 7000 input tokens (2000 > 8192 - 7000).",
        8192,
        7000,
    ),
    Said("vllm negative", "max_tokens must be at least 1, got -186."),
    Said(
        "llama.cpp",
        {
            "error": {
                "code": 500,
                "type": "exceed_context_size_error",
                "message": "the request exceeds the available context size",
                "n_prompt_tokens": 13392,
                "n_ctx": 8192,
            }
        },
        8192,
        13392,
    ),
    Said("llama-cpp-python", "Requested tokens (4820) exceed context window of 4096", 4096, 4820),
    Said("ollama", {"error": "the input length exceeds the context length"}),
    Said("ollama cloud", "prompt too long; exceeded max context length by 4 tokens"),
    Said(
        "tgi",
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."
            " Given: 4000 `inputs` tokens and 1000 `max_new_tokens`",
            "error_type": "validation",
        },
        4096,
        5000,
    ),
    Said(
        "tgi inputs",
        "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
        4096,
        5000,
    ),
    Said(
        "together",
        "The input (210000 tokens) is longer than the model's context length (200000 tokens).",
        200000,
        210000,
    ),
    Said(
        "cerebras",
        {
            "message": "Please reduce the length of the messages or completion. Current length is"
            " 8500 while limit is 8192",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
        },
        8192,
        8500,
    ),
    Said(
        "litellm proxy",
        "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - too big.",
    ),
    Said(
        "lm studio",
        "Trying to keep the first 4822 tokens when context the overflows. However, the model is"
        " loaded with context length of only 4096 tokens, which is not enough.",
        4096,
        4822,
    ),
    Said("dashscope", "Range of input length should be [1, 30720]", 30720),
    Said(
        "moonshot",
        openai("Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)"),
        8192,
        9000,
    ),
    Said("minimax", "invalid params, context window exceeds limit (2013)"),
    Said("zhipu", {"error": {"code": "1261", "message": "Prompt 超长"}}),
    Said("baidu", {"error_code": 336103, "error_msg": "Prompt tokens too long"}),
    Said(
        "watsonx",
        "the number of input tokens 5203 cannot exceed the total tokens limit 4096 for this model",
        4096,
        5203,
    ),
    Said(
        "github models",
        {
            "error": {
                "code": "tokens_limit_reached",
                "message": "Request body too large for gpt-4o model. Max size: 8000 tokens.",
            }
        },
        8000,
    ),
    Said("copilot", "prompt token count of 65432 exceeds the limit of 64000", 64000, 65432),
    Said("chinese", "输入内容超过模型最大上下文长度 32768", 32768),
    Said("made up", "The conversation does not fit into my context window (max. 16k).", 16000),
]

#: One for each further rule of a provider.
REMAINING = [
    Said(
        "vllm newer",
        "This model's maximum context length is 262144 tokens. However, you requested 128000"
        " output tokens and your prompt contains at least 134145 input tokens, for a"
        " total of at least 262145 tokens.",
        262144,
        262145,
    ),
    Said(
        "vllm newest",
        "You passed 4097 input tokens and requested 0 output tokens. However, the model's context"
        " length is only 4096 tokens, resulting in a maximum input length of 4096 tokens.",
        4096,
        4097,
    ),
    Said(
        "cohere chat",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
        4081,
        5000,
    ),
    Said(
        "llama.cpp text",
        "request (13392 tokens) exceeds the available context size (8192 tokens), try"
        " increasing it",
        8192,
        13392,
    ),
    Said(
        "lm studio 2",
        "The number of tokens to keep from the initial prompt is greater than the context length"
        " (n_keep: 5000>= n_ctx: 4096).",
        4096,
        5000,
    ),
]
