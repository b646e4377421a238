"""Why a reply ended, in the words of every server, and what that means here.

Invariants: a word that nobody has met is never taken for `stop`: the reply keeps it, so that who
reads the rows sees it; a server that broke off has given no reply.

A sample: "MAX_TOKENS" -> "length"; "insufficient_system_resource" -> BROKEN_OFF
"""

from __future__ import annotations

import re
from typing import Any

BROKEN_OFF = "broken off"  # by the server's own fault: asked again
KNOWN = ("stop", "length", "content_filter")
_RESERVED = {"imported", "original", ""}  # words of other rows
_MAX_WORD = 40  # characters

_WORDS = {
    # the model's own end, and its wish to call a tool (none is offered, so its text is all)
    "stop": "stop eos eos_token eot end end_turn end_of_turn stop_sequence stop_token stop_str "
    "stop_string stop_word stop_words done complete completed finish finished normal success "
    "succeeded null none unspecified tool_calls tool_call tool_use function_call function_calls",
    # the token limit, or the end of the context
    "length": "length max_length max_len max_tokens max_token max_completion_tokens "
    "max_output_tokens max_new_tokens max_token_limit token_limit tokens_limit output_limit "
    "model_length context_length context_length_exceeded model_context_window_exceeded "
    "model_max_length max_context_length length_limit truncated incomplete",
    # withheld or cut by a filter (OpenAI, Azure, Gemini, Anthropic, Bedrock, Zhipu)
    "content_filter": "content_filter content_filtered content_filtering contentfilter filter "
    "filtered safety recitation blocklist prohibited_content spii image_safety sensitive "
    "moderation moderated guardrail guardrails guardrail_intervened guardrail_violation refusal "
    "refused blocked content_policy content_policy_violation risk model_armor policy_violation",
    # the server's own fault (DeepSeek, OpenRouter, vLLM, SGLang, Zhipu, Gemini)
    BROKEN_OFF: "error errored internal_error internal_server_error server_error network_error "
    "upstream_error provider_error abort aborted cancel canceled cancelled timeout timed_out "
    "time_out time_limit deadline_exceeded insufficient_system_resource insufficient_resources "
    "resource_exhausted overloaded unavailable service_unavailable interrupted interruption "
    "preempted disconnect disconnected connection_error connection_lost failed failure "
    "malformed_function_call unexpected_tool_call rate_limit rate_limited",
}
_MEANING = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}


def finish_reason(said: Any) -> str:
    """stop | length | content_filter | BROKEN_OFF, or the server's own word where it is unknown."""
    if said is None:
        return "stop"  # many servers say nothing where a reply ended by itself
    if isinstance(said, dict):  # {"type": "length"}
        said = said.get("type") or said.get("reason") or "unknown"
    if not isinstance(said, str):
        said = f"{type(said).__name__} {said}" if isinstance(said, bool | float) else "number"
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", said[: 4 * _MAX_WORD])  # maxTokens
    word = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    word = re.sub(r"^(?:finish_?reason|stop_?reason)_(?=.)", "", word)
    if word in _MEANING:
        return _MEANING[word]
    return "unknown" if word in _RESERVED else word[:_MAX_WORD]
