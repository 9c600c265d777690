#!/usr/bin/env python3
"""Reads bodies with the request classes of an installed vLLM, as its server does.

The first line of the input has the keys that may differ, by operation. Every other line is a body: what the client
wrote and what was written of it, or why it was refused as JSON. The output has a finding a line, the same ones counted:

    refused    vLLM refuses what was written
    repaired   vLLM refuses what the client wrote and takes what was written
    differs    vLLM reads something else in what was written
    breaks     parsing what was written ends in an error that is no refusal: vLLM would answer 500
    listed     vLLM takes what was refused as JSON
"""

import json
import os
import re
import sys
import warnings

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
warnings.simplefilter("ignore")
# Whatever vLLM prints while it is imported is no finding.
findings_out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from pydantic import BaseModel, TypeAdapter, ValidationError  # noqa: E402
from vllm.entrypoints.anthropic.protocol import AnthropicCountTokensRequest, AnthropicMessagesRequest  # noqa: E402
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest  # noqa: E402
from vllm.entrypoints.openai.completion.protocol import CompletionRequest  # noqa: E402
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest  # noqa: E402
from vllm.entrypoints.pooling.embed.protocol import EmbeddingRequest  # noqa: E402
from vllm.entrypoints.pooling.scoring.protocol import RerankRequest, ScoreRequest  # noqa: E402
from vllm.exceptions import VLLMClientError  # noqa: E402

CLASSES = {
    "chat": ChatCompletionRequest,
    "completions": CompletionRequest,
    "embeddings": EmbeddingRequest,
    "responses": ResponsesRequest,
    "messages": AnthropicMessagesRequest,
    "count_tokens": AnthropicCountTokensRequest,
    "rerank": RerankRequest,
    "score": ScoreRequest,
}
READERS = {on: TypeAdapter(kind) for on, kind in CLASSES.items()}

# What vLLM's server answers with 400.
REFUSALS = (ValidationError, VLLMClientError, ValueError, TypeError, OverflowError)

# Fields inside of values that are understood and left out on the way; docs/requests.md names them.
LEFT_OUT = {
    "allowed_callers", "annotations", "cache_control", "citations", "defer_loading", "eager_input_streaming",
    "encrypted_content", "index", "input_examples", "parsed", "verbosity",
}  # fmt: skip

# Of a schema, what has to arrive. Keywords that the standard does not know are left out; it says that readers ignore them.
KEYWORDS = {
    "$defs", "$ref", "$schema", "additionalItems", "additionalProperties", "allOf", "anyOf", "const", "contains", "default",
    "definitions", "dependentRequired", "dependentSchemas", "deprecated", "description", "else", "enum", "examples",
    "exclusiveMaximum", "exclusiveMinimum", "format", "if", "items", "maximum", "maxContains", "maxItems", "maxLength",
    "maxProperties", "minimum", "minContains", "minItems", "minLength", "minProperties", "multipleOf", "not", "oneOf",
    "prefixItems", "properties", "propertyNames", "readOnly", "required", "then", "title", "type", "unevaluatedItems",
    "unevaluatedProperties", "uniqueItems", "writeOnly",
}  # fmt: skip
# The keys under these are names, not keywords.
NAMED = ("$defs", "const", "default", "definitions", "dependentRequired", "dependentSchemas", "properties")


def plain(value):
    """What a reader of the object would see; what is not there and what is null are the same."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return plain({**fields, **(value.model_extra or {})})
    if isinstance(value, dict):
        if value.get("type") == "refusal" and "refusal" in value:
            # Written as a text for Responses.
            value = {"type": "output_text", "text": value["refusal"], "annotations": []}
        # An empty list of calls is one to some servers, and left out.
        return {key: plain(inner) for key, inner in value.items() if inner is not None and (key, inner) != ("tool_calls", [])}
    if isinstance(value, str):
        # Defused control tokens.
        return value.replace("<\u200b", "<")
    if isinstance(value, (bytes, int, float, bool)) or value is None:
        return value
    if hasattr(value, "__dict__") and not hasattr(value, "__iter__"):
        return plain(vars(value))
    return [plain(item) for item in value]


def same(asked, written, path=(), in_schema=False):
    """Where the two differ, or nothing."""
    if isinstance(asked, dict) and isinstance(written, dict):
        for key in {**asked, **written}:
            here = (*path, key)
            if key not in written:
                is_extension = in_schema and key not in KEYWORDS and path[-1] not in NAMED
                if is_extension or key in LEFT_OUT:
                    continue
                return here, asked[key], "(absent)"
            if key not in asked:
                return here, "(absent)", written[key]
            schema = in_schema or key in ("parameters", "schema", "schema_", "json_schema", "input_schema")
            if found := same(asked[key], written[key], here, schema):
                return found
        return None
    if isinstance(asked, list) and isinstance(written, list) and len(asked) == len(written):
        for index, (one, other) in enumerate(zip(asked, written)):
            if found := same(one, other, (*path, index), in_schema):
                return found
        return None
    if type(asked) is type(written) and asked == written:
        return None
    if (asked, written) == ([], ""):
        return None
    if isinstance(asked, str) and isinstance(written, str):
        if written.startswith("data:image/") and asked[:5].lower() == "data:":
            return None
        if path[-1] == "arguments" and json.loads(asked) == json.loads(written.replace("<\u200b", "<")):
            return None
    return path, asked, written


def read(on, body):
    return READERS[on].validate_python(json.loads(body))


def stripped(body, own):
    """Without the keys that are not sent on, and without nulls."""
    document = json.loads(body)
    kept = {key: value for key, value in document.items() if value is not None and key not in own}
    return json.dumps({**kept, "model": "upstream", **{key: document[key] for key in ("max_tokens",) if key in document}})


def why(error):
    """The same words for the same fault."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join("N" if isinstance(part, int) else str(part) for part in first["loc"])
        text = f"{place}: {first['msg']}"
    else:
        text = f"{type(error).__name__}: {error}"
    return re.sub(r"\d+", "N", text)[:300]


counts = {}


def found(kind, on, because, asked, more=""):
    key = (kind, on, because)
    if key not in counts:
        counts[key] = [0, asked[:1500].decode("utf-8", "backslashreplace"), more]
    counts[key][0] += 1


def sample(request, document):
    """As the server does next, as far as it needs no model."""
    if hasattr(request, "to_sampling_params"):
        request.to_sampling_params(document.get("max_tokens", document.get("max_output_tokens")), {})


def forget_filled_in(document, *read):
    """vLLM draws an id for an item that has none, and gives it a state."""
    if isinstance(items := document.get("input"), list):
        for index, item in enumerate(items):
            for key in ("id", "status"):
                if isinstance(item, dict) and item.get(key) is None:
                    for side in read:
                        side["input"][index].pop(key, None)


def judge(on, asked, written, own):
    shown = written.decode()[:1500]
    try:
        ours = read(on, written)
    except REFUSALS as error:
        return found("refused", on, why(error), asked, shown)
    except Exception as error:
        return found("breaks", on, why(error), asked, shown)
    document = json.loads(written)
    for key in own - {"model", "max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens"} & document.keys():
        if key not in ("stream_options", "store", "thinking", "cache_salt") and key in document:
            found("differs", on, f"{key} is sent", asked, shown)
    try:
        sample(ours, document)
    except REFUSALS as error:
        found("refused", on, f"sampling: {why(error)}", asked, shown)
    except Exception as error:
        found("breaks", on, f"sampling: {why(error)}", asked, shown)
    ours = plain(ours)
    theirs = None
    try:
        theirs = plain(read(on, asked))
    except REFUSALS as error:
        try:
            theirs = plain(read(on, stripped(asked, own)))
        except REFUSALS:
            found("repaired", on, why(error), asked, shown)
    if theirs is None:
        return
    forget_filled_in(json.loads(asked), theirs, ours)
    without = [{key: value for key, value in side.items() if key not in own} for side in (theirs, ours)]
    if (difference := same(*without)) is None:
        return
    # For vLLM, null is not always what an absent key is; here it is.
    try:
        kept = plain(read(on, stripped(asked, own)))
        forget_filled_in(json.loads(asked), kept)
        if same({key: value for key, value in kept.items() if key not in own}, without[1]) is None:
            return
    except REFUSALS:
        pass
    path, one, other = difference
    place = ".".join("N" if isinstance(part, int) else part for part in path)
    found("differs", on, place, asked, f"{str(one)[:300]} became {str(other)[:300]} in {shown}")


def refused(on, asked, reason):
    try:
        read(on, asked)
    except Exception:
        return
    reason = re.sub(r'the key ".*" appears', "a key appears", reason.partition(" at line ")[0])
    if b"NaN" in asked or b"Infinity" in asked:
        reason += " (NaN or Infinity)"
    if b"\0" in asked:
        reason += " (UTF-16 or UTF-32)"
    found("listed", "all", reason, asked)


own_keys = {on: set(keys) for on, keys in json.loads(sys.stdin.readline()).items()}
for line in sys.stdin:
    body = json.loads(line)
    asked = bytes.fromhex(body["asked"])
    if "written" in body:
        judge(body["on"], asked, bytes.fromhex(body["written"]), own_keys[body["on"]])
    else:
        refused(body["on"], asked, re.sub(r"\d+", "N", body["refused"]))
for (kind, on, because), (count, asked, more) in sorted(counts.items()):
    shown = f"{kind} {count} x {on}: {because}"
    print(json.dumps({"kind": kind, "on": on, "why": because, "count": count, "asked": asked, "more": more, "shown": shown}), file=findings_out)
