"""`litecot serve`: a model behind an OpenAI-compatible server on this machine.

Invariants: importing this loads nothing heavy; it listens on this machine alone unless told
otherwise, and asks for no key; Ctrl-C ends it and its engine.

A sample: `litecot serve nano:teacher --port 8000`, then base_url = "http://127.0.0.1:8000/v1"
"""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli import tab
from flows.cli.options import DEFAULT_CORPUS, CorpusOption, clear_errors
from tasks.errors import UsageError


def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="A student's id or its start, a folder, a hub id, smollm2, nano:teacher.",
            autocompletion=tab.models,
        ),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines ask, without a key.")
    ] = "127.0.0.1",
    name: Annotated[
        str | None, typer.Option(help="What the server calls it; default: as it is named here.")
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
) -> None:
    """Serve a model as OpenAI's API does: a teacher to try, or your student for others.

    No GPU is needed for small ones. Ask it with `litecot try http://127.0.0.1:8000/v1#NAME`,
    or name it as --teacher of `litecot init`. Many users and large models: vLLM's own server.
    """
    from infra.engines import EngineConfig, open_engine

    with clear_errors(corpus):
        config = EngineConfig.model_validate(_settings(model, corpus))
        if not config.engine_type.is_hosted:
            raise UsageError(f"{model}: is behind a server already")
        engine = open_engine(config)
        try:
            _answer(engine, name or model, host=host, port=port)
        finally:
            engine.close()


def _settings(named: str, corpus: str) -> dict[str, object]:
    from contextlib import nullcontext

    from flows.cli.readers import open_corpus
    from flows.recipes.evaluated import find_model
    from infra.storage import Corpus

    opening = open_corpus(corpus) if Corpus(corpus).exists else nullcontext()
    with opening as database:
        return dict(find_model(named, corpus, database).settings)


def _answer(engine: object, name: str, *, host: str, port: int) -> None:
    from flows.cli.interruption import run_interruptibly
    from flows.progress.text import say
    from infra.hosting import chat_service

    def started(base_url: str) -> None:
        say(f"{name}: {base_url}#{name} (Ctrl-C ends it)", flush=True)

    try:
        run_interruptibly(
            lambda: chat_service.serve(engine, name, host=host, port=port, started=started)  # type: ignore[arg-type]
        )
    except KeyboardInterrupt:
        say(f"{name}: ended")
    except OSError as error:
        raise UsageError(
            f"{host}:{port}: {error.strerror or error}; choose another --port"
        ) from error
