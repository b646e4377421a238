"""How a student is used, read from its folder alone: as its own tokenizer says, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.engines import smollm2
from infra.engines.chat import COMPRESS, load_tokenizer
from infra.engines.model_files import model_source
from infra.publishing.usage import QUESTION, usage_of
from tests.tiny_models import FAMILIES, family_tokenizer

SHIPPED = ("nano:student", "smollm2")


def folder_of(name: str, scratch: Path) -> Path:
    """A shipped model, or a small tokenizer with a published family's markup."""
    if name == "smollm2" and (fault := smollm2.fault()):
        pytest.skip(fault)
    if name in SHIPPED:
        return Path(model_source(name))
    family_tokenizer(name).save_pretrained(scratch)
    return scratch


@pytest.mark.parametrize("knows_compress", [False, True])
@pytest.mark.parametrize("name", [*SHIPPED, *FAMILIES])
def test_it_is_what_the_tokenizer_of_its_class_says(
    name: str, knows_compress: bool, tmp_path: Path
) -> None:
    tokenizer: Any = load_tokenizer(str(folder_of(name, tmp_path / "given")))
    if knows_compress:
        tokenizer.add_special_tokens({"extra_special_tokens": [COMPRESS]})
    folder = tmp_path / "saved"
    tokenizer.save_pretrained(folder)
    tokenizer = load_tokenizer(str(folder))
    ids = tokenizer(COMPRESS, add_special_tokens=False)["input_ids"]
    is_token = COMPRESS in tokenizer.get_added_vocab()
    usage = usage_of(folder)
    assert (usage.token_id, usage.num_tokens) == (ids[0] if is_token else None, len(ids))
    assert usage.end == tokenizer.eos_token
    assert usage.is_chat
    for said, content in ((usage.plain, QUESTION), (usage.compressed, COMPRESS + QUESTION)):
        assert said == tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )


def test_torch_is_not_loaded_for_it() -> None:
    code = (
        "import sys, json; from pathlib import Path; from infra.publishing.usage import usage_of\n"
        "usage = usage_of(Path(sys.argv[1]))\n"
        "print(json.dumps([usage.compressed, 'torch' in sys.modules]))"
    )
    student = model_source("nano:student")
    done = subprocess.run([sys.executable, "-c", code, student], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    compressed, has_torch = json.loads(done.stdout)
    assert COMPRESS + QUESTION in compressed
    assert not has_torch
