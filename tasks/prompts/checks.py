"""What is wrong with a prompt, found before a model is asked: by reading it, then by rendering it.

Invariant: a prompt without faults renders with whatever the step gives, and no two problems get the
same message. Each fault is one line: file, line number, what it is, the remedy.

A sample: faults_of(file, use, config) == ["./mine.jinja:3: {{ solution }} is not given; this step
gives question, rationale, ..."]
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence

from jinja2 import TemplateSyntaxError, meta, nodes

from tasks.errors import near_names
from tasks.prompts import PromptFile, compiled, environment
from tasks.prompts.values import PromptValue, StepPrompt

OTHER_FILES = {
    nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from", nodes.Extends:
    "extends",
}  # fmt: skip


def faults_of(file: PromptFile, use: StepPrompt, config: object) -> list[str]:
    """One line a fault, in the order of the file's lines; empty where there is none."""
    try:
        compiled(file.text)
        tree = environment().parse(file.text)
        names = meta.find_undeclared_variables(tree) - environment().globals.keys()
    except TemplateSyntaxError as error:
        words = (error.message or "").rstrip(".").replace("\n", " ")
        start = f"`litecot prompts show {use.step} VARIANT` prints one that works"
        return [f"{_where(file, error.lineno)}: does not parse: {words}; {start}"]
    except Exception as error:  # nested too deeply, a number too long: whatever Python refuses
        return [f"{_where(file, 1)}: does not parse: {type(error).__name__}: {_line(error)}"]
    found = [
        *_other_files(tree),
        *_names_not_given(tree, names, use, config),
    ]
    if found:
        return [f"{_where(file, line)}: {words}" for line, words in sorted(found)]
    return _faults_of_rendering(file, use, config)


def unused_texts(file: PromptFile, use: StepPrompt) -> list[str]:
    """Texts of the problem that the model will not see. The prompt has no faults."""
    used = meta.find_undeclared_variables(environment().parse(file.text))
    return [value.name for value in use.values if value.is_text and value.name not in used]


def asks_for(file: PromptFile, name: str) -> bool:
    """Whether the prompt uses the value `name`. Raises TemplateSyntaxError."""
    return name in meta.find_undeclared_variables(environment().parse(file.text))


def _where(file: PromptFile, line: int) -> str:
    return f"{file.name if file.is_own else file.key + '.jinja'}:{line}"


def _other_files(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    for kind, word in OTHER_FILES.items():
        for node in tree.find_all(kind):
            yield (
                node.lineno,
                f"{{% {word} %}}: a prompt is one file, so that its hash is that of all its text: "
                "put the other's text here",
            )


def _names_not_given(
    tree: nodes.Template, names: set[str], use: StepPrompt, config: object
) -> Iterator[tuple[int, str]]:
    """Names that are used unasked: `{% if x is defined %}` and `x | default("")` ask."""
    sure = {value.name for value in use.values if value.is_sure(config)}
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        lines[node.name] = min(node.lineno, lines.get(node.name, node.lineno))
    for name in names - sure - set(_asked(tree)):
        yield lines[name], _not_given(name, use)


def _asked(tree: nodes.Template) -> Iterator[str]:
    for test in tree.find_all(nodes.Test):
        if test.name in ("defined", "undefined") and isinstance(test.node, nodes.Name):
            yield test.node.name
    for used in tree.find_all(nodes.Filter):
        if used.name in ("default", "d") and isinstance(used.node, nodes.Name):
            yield used.node.name


def _not_given(name: str, use: StepPrompt) -> str:
    known = {value.name: value for value in use.values}
    if name in known and (only := known[name].sure_if):
        return (
            f"{{{{ {name} }}}} is not always given: only where {only[0]} = {only[1]!r}; ask "
            f"{{% if {name} is defined %}} first"
        )
    near = near_names(name, known)
    meant = f" (did you mean {near}?)" if near else ""
    return f"{{{{ {name} }}}} is not given{meant}; this step gives {_list(use.values)}"


def _list(values: Sequence[PromptValue]) -> str:
    return ", ".join(value.name for value in values)


def _faults_of_rendering(file: PromptFile, use: StepPrompt, config: object) -> list[str]:
    """Of the first combination of values that does not go; what a prompt may do is in no list."""
    texts = [value for value in use.values if value.is_text]
    for values in use.samples(config):
        other = {**values, **{text.name: "another" for text in texts}}
        try:
            same = file.render(**values) == file.render(**other)
        except Exception as error:
            words = f"{type(error).__name__}: {_line(error)}"
            return [f"{_where(file, _line_of(error))}: cannot be rendered: {words}"]
        if same:
            named = " or ".join(f"{{{{ {text.name} }}}}" for text in texts)
            told = _told(values, use)
            return [f"{_where(file, 1)}: is the same for every problem{told}: write {named} in it"]
    return []


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _told(values: dict[str, str], use: StepPrompt) -> str:
    """The values that chose the way through the prompt, where there are several ways."""
    choices = {v.name for v in use.values if not v.is_text and (len(v.samples) > 1 or v.sure_if)}
    told = [f"{name} = {value!r}" for name, value in values.items() if name in choices]
    return f" (with {', '.join(told)})" if told else ""


def _line_of(error: Exception) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
    return (lines and lines[-1]) or 1
