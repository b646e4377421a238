"""From prompts to token ids and back, with text that can never become a control token.

Role: the only place where a conversation is tokenised, for generation, scoring and training alike.
Invariant: control tokens come from the tokenizer's chat template and from `Prompt.compress` alone;
the text of a prompt or completion is encoded with special tokens read as plain characters. The
template is rendered once around a sentinel; what lies between the sentinels is encoded apart, so
a text has the same tokens wherever it stands. A student taught `<compress>` as plain text
(`train.compress_token`) says so in its tokenizer's settings, and is asked so. Where the template
opens the assistant's thought itself, the model is asked, trained and scored behind that one
`<think>`: see infra.engines.thought.

A sample, Qwen2 markup: Prompt(text="1 + 1?", compress=True) ->
    <|im_start|> user \\n <compress> 1 _+ _1 ? <|im_end|> \\n <|im_start|> assistant \\n
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from tokenizers import Tokenizer

from infra.engines.thought import OpenedThought
from tasks.ports import PermanentError, Prompt

COMPRESS = "<compress>"
COMPRESS_AS_TEXT = "compress_as_text"  # in tokenizer_config.json
IGNORED_LABEL = -100  # torch's cross-entropy skips it
_USER = "\ue000user\ue001"  # private-use characters: no template trims or rewrites them
_ASSISTANT = "\ue000assistant\ue001"


@dataclass(frozen=True, kw_only=True)
class EncodedExample:
    """`labels` is `input_ids` with the prompt masked; both end with the turn's end token."""

    input_ids: list[int]
    labels: list[int]


class ChatEncoder:
    """One tokenizer's markup, taken apart. Safe in many threads: it changes no shared state."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(f"{type(tokenizer).__name__} has no tokenizer.json: convert it first")
        self._plain = _copy(tokenizer.backend_tokenizer, specials_as_text=True)
        self._markup = _copy(tokenizer.backend_tokenizer, specials_as_text=False)
        added = self._plain.get_added_tokens_decoder()
        self._control = {index for index, token in added.items() if token.special}
        self._compress: int | None = self._plain.token_to_id(COMPRESS)
        self._compress_is_text = says_compress_as_text(tokenizer)
        self._eos: int | None = tokenizer.eos_token_id
        pieces = _template_pieces(tokenizer)
        self._before, self._after, self._header, tail = map(self.encode_markup, pieces)
        self.thought = OpenedThought.at_the_end_of(pieces[1])
        """What the template opens for the assistant; None: nothing, as most templates do."""
        self.end_ids = self._find_ends(tail)

    def _find_ends(self, tail: list[int]) -> tuple[int, ...]:
        """The end of the assistant's turn first, then the tokenizer's own end of text."""
        ends = [index for index in tail if index in self._control][:1]
        ends += [] if self._eos is None else [self._eos]
        return tuple(dict.fromkeys(ends))

    def encode_markup(self, text: str) -> list[int]:
        """Tokens of our own text, control tokens parsed."""
        ids: list[int] = self._markup.encode(text, add_special_tokens=False).ids
        return ids

    def encode_text(self, text: str) -> list[int]:
        """Tokens of anybody's text, control tokens as plain characters (lone surrogates as ?)."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._plain.encode(clean, add_special_tokens=False).ids
        if not self._control.isdisjoint(ids):
            raise PermanentError("control_token", "the tokenizer reads text as a control token")
        return ids

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """The conversation up to where the assistant begins; never empty."""
        ids = [*self._before, *self._encode_user(prompt), *self._after]
        return ids or self.encode_start()

    def _encode_user(self, prompt: Prompt) -> list[int]:
        if not prompt.compress:
            return self.encode_text(prompt.text)
        if self._compress_is_text:
            return self.encode_text(COMPRESS + prompt.text)
        return [self._compress_id(), *self.encode_text(prompt.text)]

    def encode_start(self) -> list[int]:
        """What stands before an unconditional text: the assistant's header and no user turn.

        So the first token is predicted from the very tokens that precede it after a prompt. A
        tokenizer without a chat template starts from its end-of-text token.
        """
        if self._header:
            return self._header
        if self._eos is None:
            raise ValueError("the tokenizer has neither a chat template nor an eos token")
        return [self._eos]

    def encode_example(self, prompt: Prompt, completion: str) -> EncodedExample:
        """What a student is trained on."""
        given = self.encode_prompt(prompt)
        if not self.end_ids:
            raise ValueError("the tokenizer has no end token: set eos_token")
        learnt = [*self.encode_written(completion), self.end_ids[0]]
        labels = [IGNORED_LABEL] * len(given) + learnt
        return EncodedExample(input_ids=given + learnt, labels=labels)

    def encode_written(self, text: str) -> list[int]:
        """Tokens of what the assistant wrote, behind a prompt of `encode_prompt`."""
        return [token for part in self.written_parts([text]) for token in self.encode_text(part)]

    def written_parts(self, texts: Sequence[str]) -> list[str]:
        """The assistant's texts, one behind the other, as they stand behind our prompt.

        One more than there are `texts`: first what goes before them all, mostly nothing.
        """
        return self.thought.continued(texts) if self.thought else ["", *texts]

    def reply(self, text: str) -> str:
        """What the model wrote behind our prompt, as a text of its own: with its opening tag."""
        return self.thought.whole(text) if self.thought else text

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, control tokens left out."""
        text: str = self._plain.decode(list(ids), skip_special_tokens=True)
        return text

    def _compress_id(self) -> int:
        if self._compress is None or self._compress not in self._control:
            raise PermanentError(
                "no_compress_token",
                f"the tokenizer has no special token {COMPRESS}: add it with "
                f"tokenizer.add_special_tokens({{'additional_special_tokens': ['{COMPRESS}']}}) "
                "and model.resize_token_embeddings, as training does",
            )
        return self._compress


def says_compress_as_text(tokenizer: Any) -> bool:
    """Whether `<compress>` is plain text to its model."""
    return bool(getattr(tokenizer, "init_kwargs", {}).get(COMPRESS_AS_TEXT))


_ENCODERS: WeakKeyDictionary[Any, tuple[object, ChatEncoder]] = WeakKeyDictionary()


def chat_encoder(tokenizer: Any) -> ChatEncoder:
    """The encoder of a tokenizer, made once; again where its tokens or template have changed."""
    state = (
        len(tokenizer), str(tokenizer.chat_template), tokenizer.eos_token_id,
        says_compress_as_text(tokenizer),
    )  # fmt: skip
    known = _ENCODERS.get(tokenizer)
    if known is None or known[0] != state:
        known = _ENCODERS[tokenizer] = (state, ChatEncoder(tokenizer))
    return known[1]


def end_ids(tokenizer: Any) -> tuple[int, ...]:
    """Every token that ends the assistant's turn, the one a student is taught first.

    To be saved as `generation_config.eos_token_id`: a base checkpoint names its end of text alone.
    """
    return chat_encoder(tokenizer).end_ids


def encode_chat(tokenizer: Any, prompt: Prompt, *, completion: str | None = None) -> list[int]:
    """Token ids of the conversation up to the assistant's turn, and of what it has written."""
    encoder = chat_encoder(tokenizer)
    written = [] if completion is None else encoder.encode_written(completion)
    return encoder.encode_prompt(prompt) + written


def encode_example(tokenizer: Any, prompt: Prompt, completion: str) -> EncodedExample:
    """Token ids and labels to train on: the prompt is masked, the end of the turn is learnt."""
    return chat_encoder(tokenizer).encode_example(prompt, completion)


def load_tokenizer(source: str, *, revision: str | None = None) -> Any:
    """The tokenizer of a folder or hub id; no code of the model's own is run."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)


def _copy(backend: Tokenizer, *, specials_as_text: bool) -> Tokenizer:
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_padding()
    copy.no_truncation()
    copy.encode_special_tokens = specials_as_text
    return copy


def _template_pieces(tokenizer: Any) -> tuple[str, str, str, str]:
    """Markup before the user's text, after it, the assistant's header, and after its text."""
    if not tokenizer.chat_template:
        return tokenizer.bos_token or "", "\n", tokenizer.bos_token or "", ""
    user = {"role": "user", "content": _USER}
    asked = _render(tokenizer, [user], add_generation_prompt=True)
    closed = _render(tokenizer, [user])
    answered = _render(tokenizer, [user, {"role": "assistant", "content": _ASSISTANT}])
    if asked.count(_USER) != 1 or answered.count(_ASSISTANT) != 1:
        raise ValueError("the chat template does not show a message exactly once")
    before, after = asked.split(_USER)
    header = asked.removeprefix(closed) if asked.startswith(closed) else ""
    return before, after, header, answered.split(_ASSISTANT)[1]


def _render(tokenizer: Any, messages: list[dict[str, str]], **options: bool) -> str:
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    return text
