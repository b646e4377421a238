"""`litecot sql` without a query: a shell over a corpus, read-only as a single query is.

Role: DuckDB's own shell is another program, with other versions and rights (decision 0111); this
one asks through sql/untrusted.py. Invariants: nothing typed here writes but `.output FILE`; Ctrl-C
ends a query, never the shell; an error is one line; what a run finishes meanwhile is there at the
next statement.

    corpus> select stage, num_problems
       ...> from funnel;
"""

from __future__ import annotations

import io
import os
import pydoc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cli import display
from flows.cli.interruption import ended_by_signals
from flows.cli.messages import exit_code, is_query_fault, one_line
from flows.cli.output import Output, OutputError, output_of, write_query
from flows.cli.readers import open_corpus, rot_in
from flows.progress.consoles import console
from flows.progress.text import say
from infra.storage.corpus import Corpus
from sql.database import Database, Result, relations
from sql.described import columns_of, kind_of, rows_of
from sql.untrusted import bounded_memory, stream_untrusted
from tasks.errors import UsageError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

MAX_SHOWN = 10_000  # rows of a table on the screen
SPARE_LINES = 2  # of the screen, for the prompt
CANCELLED = "cancelled"
WELCOME = "SQL over {corpus}, read-only; end a statement with ;   .help says more, .quit leaves"
HELP = """\
SELECT ... ;           any statement that only reads, over as many lines as it takes
.tables                what can be asked: stored tables, the selected run's rows, marts
.schema RELATION       its rows and columns, described
.mode FORMAT           how results are shown: table, csv, json
.output FILE           write the next result to a new file: .csv, .json, .parquet or .txt
.run [ID]              select another run, by id or its start; .run alone: which one is
.help  .quit           Tab completes, Up and Ctrl-R find what was typed, Ctrl-C ends a query"""


class Shell:
    """`ask` takes a statement or a dot-command and says what comes of it."""

    def __init__(
        self, corpus: str, *, run_id: str | None = None, mode: str = "table", memory_gib: float
    ) -> None:
        self.corpus, self._run_id = corpus, run_id
        self._format = mode
        self._file: Output | None = None  # of the next result
        self._memory_gib = memory_gib
        self._stored = Corpus(corpus)
        self._parts: dict[str, list[str]] = {}
        self._database: Database | None = None
        self.database()
        self.columns = columns_of(self.database())
        self.commands: dict[str, Callable[[str], None]] = {
            ".help": lambda _: say(HELP), ".tables": self._tables, ".schema": self._schema,
            ".mode": self._mode, ".output": self._output, ".run": self._run,
            ".quit": self._quit, ".exit": self._quit,
        }  # fmt: skip

    def database(self) -> Database:
        """The corpus as it is now: opened again where a run or a compaction changed its parts."""
        parts = self._stored.parts()
        if self._database is None or parts != self._parts:
            opened = open_corpus(self.corpus, run_id=self._run_id)
            self.close()
            self._database, self._parts = opened, parts
        return self._database

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None

    def ask(self, text: str) -> None:
        """Raises EOFError where it is to end; whatever else goes wrong is said in a line."""
        text = text.strip()
        if not text or text == ";":
            return
        try:
            if text.startswith("."):
                name, _, argument = text.partition(" ")
                self._command(name)(argument.strip().rstrip(";").strip())
            else:
                self._query(text)
        except KeyboardInterrupt:
            _complain(CANCELLED)
        except Exception as error:
            if exit_code(error) is None:
                raise
            rot = rot_in(self.corpus) if is_query_fault(error) else None
            _complain(rot or one_line(error))

    def _command(self, name: str) -> Callable[[str], None]:
        if name not in self.commands:
            raise UsageError(f"no command {name}: .help lists them")
        return self.commands[name]

    # --- statements

    def _query(self, text: str) -> None:
        database = self.database()
        output, self._file = self._file or Output(format=self._format), None
        if output.to is not None or output.format != "table":
            ended_by_signals(
                database.interrupt,
                lambda: write_query(database, text, output, memory_gib=self._memory_gib),
            )
            return
        result, is_cut = ended_by_signals(
            database.interrupt, lambda: self._first_rows(database, text)
        )
        more = f"only the first {MAX_SHOWN} rows: .output FILE takes all" if is_cut else ""
        show(result, more)

    def _first_rows(self, database: Database, text: str) -> tuple[Result, bool]:
        with bounded_memory(self._memory_gib):
            found = stream_untrusted(database, text, memory_gib=self._memory_gib)
            rows = (row for batch in found.batches for row in batch)
            shown = list(islice(rows, MAX_SHOWN))
            is_cut = next(rows, None) is not None
        return Result(columns=found.columns, types=found.types, rows=shown), is_cut

    # --- dot-commands

    def _tables(self, _: str) -> None:
        rows = [(kind_of(name), name, rows_of(name)) for name in relations()]
        show(Result(columns=("kind", "relation", "one row per"), types=("VARCHAR",) * 3, rows=rows))

    def _schema(self, relation: str) -> None:
        if not relation:
            raise UsageError(".schema RELATION: .tables lists them")
        text = io.StringIO()
        display.print_relation(relation, _screen(text))
        _page(text.getvalue())

    def _mode(self, mode: str) -> None:
        if mode not in display.FORMATS:
            raise OutputError(f".mode {mode}: choose one of {', '.join(display.FORMATS)}")
        self._format = mode

    def _output(self, file: str) -> None:
        if not file:
            raise OutputError(".output FILE: the next result goes to it")
        self._file = output_of(None, Path(file).expanduser())

    def _run(self, run_id: str) -> None:
        if run_id:
            self.database().select_run(run_id)
            self._run_id = self.database().run_id
        say(f"run {self.database().run_id or '(none)'}")

    def _quit(self, _: str) -> None:
        raise EOFError


def show(result: Result, more: str = "") -> None:
    """A table, through a pager where the screen is too small."""
    text = io.StringIO()
    display.print_table(result, _screen(text), chops=True)
    if more:
        text.write(f"{more}\n")
    _page(text.getvalue())


def _screen(text: io.StringIO) -> Any:
    size = os.get_terminal_size() if sys.stdout.isatty() else os.terminal_size((120, 40))
    return console(file=text, force_terminal=sys.stdout.isatty(), width=size.columns)


def _page(text: str) -> None:
    """Straight to a screen it fits, else through $PAGER or less, which must start no program."""
    if not sys.stdout.isatty() or text.count("\n") <= os.get_terminal_size().lines - SPARE_LINES:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    os.environ.setdefault("LESS", "-R -S")
    os.environ["LESSSECURE"] = "1"
    pydoc.pager(text)


def _complain(line: str) -> None:
    say(f"litecot: {line}", file=sys.stderr)


def run_shell(corpus: str, *, run_id: str | None, mode: str, memory_gib: float) -> None:
    """Until Ctrl-D or .quit."""
    shell = Shell(corpus, run_id=run_id, mode=mode, memory_gib=memory_gib)
    session = _session(shell)
    say(WELCOME.format(corpus=corpus))
    with _only_ctrl_c():
        while True:
            try:
                shell.ask(session.prompt())
            except KeyboardInterrupt:
                continue
            except EOFError:
                break
    shell.close()


@contextmanager
def _only_ctrl_c() -> Iterator[None]:
    """Ctrl-C is an exception, for one query; SIGTERM ends the command as it always does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def history_file() -> Path:
    """Of this user, whatever the corpus."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "litecot" / "sql_history"


def _session(shell: Shell) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.lexers import PygmentsLexer
    from pygments.lexers.sql import SqlLexer

    from flows.cli.sql.completion import SqlCompleter, keys

    history: History = InMemoryHistory()
    file = history_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        history = FileHistory(str(file))
    except OSError:  # a home that cannot be written: it is forgotten at the end
        pass
    return PromptSession(
        f"{Path(shell.corpus).name}> ",
        multiline=True,
        prompt_continuation=lambda width, *_: "...> ".rjust(width),
        history=history,
        lexer=PygmentsLexer(SqlLexer),
        completer=SqlCompleter(shell.columns, commands=list(shell.commands)),
        complete_while_typing=False,
        enable_history_search=True,
        key_bindings=keys(),
    )
