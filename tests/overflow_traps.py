"""Answers that only look like a context overflow."""

from __future__ import annotations

import typing as t

from tests.overflow_messages import openai

TRAPS: list[t.Any] = [
    openai(
        "Request too large for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000,"
        " Requested 12000. The input or output tokens must be reduced in order to run"
        " successfully.",
        code="rate_limit_exceeded",
    ),
    {
        "error": {
            "message": "Request too large for model `llama-3.1-8b` on tokens per minute (TPM):"
            " Limit 6000, Requested 7000, please reduce your message size and try again.",
            "type": "tokens",
            "status": 413,
        }
    },
    "This request would exceed your organization's rate limit of 40,000 input tokens per minute."
    " Please reduce the prompt length or the maximum tokens requested, or try again later.",
    "You have exceeded your daily token limit of 1000000 tokens.",
    "You exceeded your current quota, please check your plan and billing details.",
    "Quota exceeded for metric: generate_content_free_tier_input_token_count, limit: 250000",
    "Too many tokens, please wait before trying again.",
    openai(
        "max_tokens is too large: 40000. This model supports at most 16384 completion tokens,"
        " whereas you provided 40000.",
        code="invalid_value",
    ),
    "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
    "Range of max_tokens should be [1, 8192]",
    "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less"
    " than the `context_window` for this model",
    "max_tokens must be at least 1, got 0.",
    openai(
        "Invalid 'user': string too long. Expected a string with maximum length 64, but got a"
        " string with length 70 instead.",
        code="string_above_max_length",
    ),
    openai(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to"
        " each 'tool_call_id'. The following tool_call_ids did not have response messages: call_1"
    ),
    "messages.3: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
    'messages: roles must alternate between "user" and "assistant"',
    "This request requires more credits, or fewer max_tokens. You requested up to 65535 tokens, but"
    " can only afford 1200.",
    "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6291456 bytes > 5242880"
    " bytes",
    "context deadline exceeded",
    "Invalid API token: too long",
    "模型请求频率超过限制，token 超出每分钟配额",
    {"choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "length"}]},
    {
        "choices": [
            {
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": "OpenAI says: This model's maximum context length is 8192 tokens.",
                },
            }
        ]
    },
    {"role": "user", "message": "prompt is too long: 216868 tokens > 200000 maximum"},
    {"error": {"code": 429, "message": "Your context window is exceeded; slow down"}},
    "The model is overloaded. Please try again later.",
    "",
    "ok",
]
