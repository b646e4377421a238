"""What an error body says, in every dialect: words, a code, the parameters it names, a status.

Role: reads `{"error": ...}` and its relatives, of a refusal or inside a reply of status 200.
Invariant: whatever JSON or bytes come, an ErrorBody is read, bounded in size; nothing is raised.

A sample: {"error": {"code": 429, "message": "slow down"}} -> message "slow down", status 429
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.engines.endpoint.wire import as_text, read_json

MAX_CHARS = 1200  # of what is looked at
_MAX_NODES, _MAX_DEPTH = 200, 6
_NAMING = {
    "param", "parameter", "parameters", "params", "field", "fields", "argument", "loc", "location",
    "property", "instancepath",
}  # fmt: skip
_MESSAGE_KEYS = (
    "message", "msg", "detail", "details", "error_message", "description", "error",
)  # fmt: skip
_STATUS_KEYS = ("status_code", "statuscode", "http_status", "httpstatus", "code", "status")
_STATUSES = {
    401: "invalid_api_key authentication_error unauthenticated unauthorized invalid_authentication "
    "incorrect_api_key invalid_token",
    402: "insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance "
    "insufficient_credits insufficient_funds payment_required out_of_credits exceeded_quota "
    "exceeded_current_quota_error billing_error no_credits arrearage",
    403: "permission_denied permission_error forbidden access_denied",
    404: "not_found not_found_error model_not_found model_not_available",
    413: "context_length_exceeded request_too_large string_above_max_length payload_too_large",
    422: "unprocessable_entity validation_error",
    429: "rate_limit_exceeded rate_limit_error rate_limit rate_limited rate_limit_reached_error "
    "too_many_requests resource_exhausted requests tokens throttled throttling "
    "throttling_exception ratelimit limit_exceeded engine_overloaded_error",
    400: "invalid_request_error invalid_request bad_request bad_request_error badrequesterror "
    "invalid_argument invalid_prompt invalid_parameter invalid_value unsupported_parameter "
    "unsupported_value content_policy_violation content_filter contentfilter moderation_blocked "
    "data_inspection_failed failed_precondition responsible_ai_policy_violation invalid_input "
    "sensitive content_moderation unknown_parameter extra_forbidden",
    503: "server_error internal_error internal_server_error internalservererror internal "
    "overloaded_error overloaded unavailable service_unavailable service_unavailable_error "
    "timeout timeout_error deadline_exceeded api_error upstream_error bad_gateway "
    "gateway_timeout provider_error aborted cancelled unknown",
}
_STATUS = {name: status for status, names in _STATUSES.items() for name in names.split()}
_LEADING_STATUS = re.compile(
    r"\W*(?:http|error|status|code|api|server)?(?:[\s:_-]*(?:code|error|status))?[\s:#'\"(<-]*"
    r"([45]\d\d)(?![\d.,]*\d)", re.IGNORECASE,
)  # fmt: skip
_PAGE = re.compile(r"\s*(?:<!--.*?-->\s*)?<(?:!doctype|html|head|body|\?xml)", re.I | re.S)
_TITLE = re.compile(r"<(title|h1)[^>]*>\s*([^<]{1,200}?)\s*</\1>", re.IGNORECASE)


@dataclass(frozen=True)
class ErrorBody:
    """As the server gave it, nothing tidied. `status`: what it names itself, None where nothing."""

    message: str
    code: str = ""  # of error.code, else error.type
    kind: str = ""  # all other short words: type, status, reasons of a filter
    names: frozenset[str] = frozenset()  # of the request's fields that it points at
    status: int | None = None
    is_page: bool = False  # a web page: of a proxy or a firewall, not of the model's server


def read_error(body: bytes, *, charset: str | None = None) -> ErrorBody:
    """Of an HTTP reply that is no success."""
    try:
        found = read_json(body, charset=charset)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return error_of(found)
    text = as_text(body[:MAX_CHARS], charset=charset)
    if not _PAGE.match(text):
        return ErrorBody(text, status=_leading_status(text))
    titles = dict.fromkeys(title for _, title in _TITLE.findall(text))
    return ErrorBody(": ".join(titles) or text, is_page=True)


def error_in(found: dict[str, Any]) -> ErrorBody | None:
    """The error that a reply of status 200 holds, if it does."""
    inner = found.get("error") or found.get("errors")
    if isinstance(inner, dict) and not any(inner.values()):
        inner = None  # {"code": 0, "message": ""}: no error
    is_error = found.get("object") == "error" or found.get("type") == "error"
    has_words = not found.get("choices") and (found.get("detail") or found.get("message"))
    return error_of(found) if inner or is_error or has_words else None


def error_of(found: dict[str, Any]) -> ErrorBody:
    """Of an error object or the reply around it."""
    inner = found.get("error") or found.get("errors")
    if isinstance(inner, list) and inner:
        inner = inner[0]
    error = inner if isinstance(inner, dict) else found
    message = _message(inner) or _message(found)
    if message is None:
        message = _shown(found)
    words = [w for key in ("code", "type", "status") if (w := _word(error.get(key)))]
    words += [w for key in ("code", "type") if error is not found and (w := _word(found.get(key)))]
    return ErrorBody(
        message=message[:MAX_CHARS],
        code=words[0] if words else "",
        kind=" ".join([*words, *_reasons(error)])[:MAX_CHARS],
        names=frozenset(_named(found)),
        status=_status(error, found, message),
    )


def _message(found: Any, depth: int = 0) -> str | None:
    if isinstance(found, str):
        return found or None
    if depth > _MAX_DEPTH:
        return None
    if isinstance(found, list):  # pydantic's faults
        faults = [fault for item in found[:3] if (fault := _message(item, depth + 1))]
        return "; ".join(faults) or None
    if not isinstance(found, dict):
        return None
    said = (_message(found.get(key), depth + 1) for key in _MESSAGE_KEYS)
    said_here = next(filter(None, said), None)
    loc = found.get("loc")
    if said_here and isinstance(loc, list) and loc:
        return f"{'.'.join(str(part)[:60] for part in loc[:6])}: {said_here}"
    return said_here


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value[:80]
    is_small = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9
    return str(value) if is_small else ""


def _reasons(error: dict[str, Any]) -> list[str]:
    """Why a filter struck, e.g. OpenRouter's metadata.reasons."""
    metadata = error.get("metadata")
    if not isinstance(metadata, dict):
        return []
    flagged = ["flagged"] if {"reasons", "flagged_input"} & metadata.keys() else []
    reasons = metadata.get("reasons")
    listed = reasons if isinstance(reasons, list) else []
    return flagged + [reason[:40] for reason in listed if isinstance(reason, str)]


def _status(error: dict[str, Any], found: dict[str, Any], message: str) -> int | None:
    places = [error] if error is found else [error, found]
    metadata = error.get("metadata")
    if isinstance(metadata, dict):
        places.append(metadata)
    for place in places:
        lower = {str(key)[:40].lower(): value for key, value in place.items()}
        for key in _STATUS_KEYS:
            if status := _as_status(lower.get(key)):
                return status
    for place in places:
        for key in ("code", "type", "status", "error_type"):
            name = place.get(key)
            if isinstance(name, str) and (status := _STATUS.get(_slug(name))):
                return status
    return _leading_status(message) or _STATUS.get(_slug(message))


def _slug(name: str) -> str:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name[:80])
    return re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")


def _as_status(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[3-5]\d\d(?:\.0)?\s*", value):
        value = float(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 300 <= value < 600 and value == int(value) else None


def _leading_status(message: str) -> int | None:
    match = _LEADING_STATUS.match(message)
    return int(match.group(1)) if match else None


def _named(found: Any) -> Iterator[str]:
    for key, value in _nodes(found):
        if key.lower() in _NAMING:
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, str):
                    yield re.split(r"[./\[\]]", part.strip("/."))[-1] or part


def _nodes(found: Any) -> Iterator[tuple[str, Any]]:
    waiting: list[tuple[Any, int]] = [(found, 0)]
    for _ in range(_MAX_NODES):
        if not waiting:
            return
        node, depth = waiting.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield str(key)[:40], value
            if isinstance(value, dict | list) and depth < _MAX_DEPTH:
                waiting.append((value, depth + 1))


def _shown(found: dict[str, Any]) -> str:
    items = [(str(key)[:40], value) for key, value in list(found.items())[:20]]
    try:
        return json.dumps({key: v[:200] if isinstance(v, str) else v for key, v in items})
    except (ValueError, RecursionError):  # a number of thousands of digits
        return ""
