"""What a prompt's text may do is bounded: none hangs a worker, none fills its memory."""

from __future__ import annotations

import time

import pytest

from tasks.prompts.checks import faults_of
from tasks.rewrite import STAGE as REWRITE
from tasks.rewrite import RewriteConfig
from tests.unit.test_prompts_own import CHAIN, own

DOUBLED = "{% set a = 'ab' %}" + "{% set a = X %}" * 60 + "{{ a }}"
WORK = "more than 50,000,000 characters or 50,000 loop turns and calls"
HOSTILE = {
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}": WORK,
    "{% for i in range(900) %}{% for j in range(900) %}{% endfor %}{% endfor %}": WORK,
    "{{ range(10**12) }}": "** is not for prompts",
    "{{ range(1000000000000) | list }}": WORK,
    "{{ 'x' is in range(100000000000000000000000) }}": WORK,
    '{{ "a" * 10000000000 }}': "* takes numbers",
    "{{ [1] * 10000000000 }}": "* takes numbers",
    "{{ 9 ** 9 ** 9 ** 9 }}": "** is not for prompts",
    '{{ "%10000000000d" % 1 }}': "% takes numbers",
    '{{ "%10000000000d" | format(1) }}': "No filter named 'format'",
    '{{ "x".center(10000000000) }}': "'center' of 'str' is not for prompts",
    '{{ "x" | center(10000000000) }}': "No filter named 'center'",
    '{{ "x"["zfill"](10000000000) }}': "'zfill' of 'str' is not for prompts",
    '{{ "{:>10000000000}".format(1) }}': "'format' of 'str' is not for prompts",
    '{{ "{x:>10000000000}".format_map({"x": 1}) }}': "'format_map' of 'str' is not for prompts",
    "{{ (1).to_bytes(10000000000) }}": "'to_bytes' of 'int' is not for prompts",
    '{{ "x" | indent(10000000000) }}': "indent takes numbers up to 1,000",
    '{{ ["x", 1] | tojson(indent=10000000000) }}': "tojson takes no arguments",
    "{{ 1.5 | round(10000000000, 'ceil') }}": "round takes numbers up to 1,000",
    DOUBLED.replace("X", "a ~ a"): "",
    DOUBLED.replace("X", "a + a"): "",
    DOUBLED.replace("X", "[a, a]"): WORK,
    DOUBLED.replace("X", "{1: a, 2: a}"): WORK,
    DOUBLED.replace("X", "namespace(b=a, c=a)"): WORK,
    DOUBLED.replace("X", "a | replace('', 'abab')"): WORK,
    DOUBLED.replace("X", "a.replace('', 'abab')"): WORK,
    DOUBLED.replace("X", "a.join(a)"): WORK,
    DOUBLED.replace("X", "a | join(a)"): WORK,
    DOUBLED.replace("X", "a | map('replace', 'a', a) | join"): WORK,
    "{{ " + "'\"'" + " | tojson" * 60 + " }}": WORK,
    "{% set a = 'ab' %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 60: "",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}": "RecursionError",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}":
        WORK,
    "{% for x in [1] recursive %}{{ loop([1, 2]) }}{% endfor %}": "RecursionError",
    "{% set l = [] %}{{ l.append(l) }}": "'append' of 'list' is not for prompts",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}": "does not parse: RecursionError",
    "{{ " + "9" * 5000 + " }}": "does not parse: ",
    "{% for a in 'a' %}" * 25 + "{% endfor %}" * 25: "",
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40])
def test_a_prompt_cannot_hang_or_fill_the_memory(text: str) -> None:
    started = time.process_time()
    faults = faults_of(own(CHAIN + text), REWRITE.prompts[0], RewriteConfig())
    assert [HOSTILE[text] in fault and "\n" not in fault for fault in faults] == [True]
    assert faults[0].startswith("./mine.jinja:1: ")
    assert time.process_time() - started < 20


def test_what_prompts_do_is_within_the_limits() -> None:
    text = (
        "{% macro item(x, n=1) %}{{ n }}. {{ x | trim }}{% endmacro %}"
        "{% set ns = namespace(n=0) %}{% for line in rationale.splitlines() if line %}"
        "{% set ns.n = ns.n + 1 %}{{ item(line, n=loop.index) }}/{{ loop.length }}"
        "{{ '' if loop.last else ', ' }}{% endfor %} {{ ns.n * 2 }} {{ 7 % 4 }} "
        "{{ question.replace('a', 'b').upper() ~ 1.5 }} {{ ['x', 'y'] | map('upper') | join('-') }}"
        " {{ ', '.join(['p', 'q']) }} {{ {'k': 'v'}.k }} {{ 'a\nb' | indent(2) }}"
    )
    told = own(text).render(question="abc", rationale="one\n\n two ")
    assert told == "1. one/2, 2. two/2 4 3 BBC1.5 X-Y p, q v a\n  b"
    assert own(CHAIN).render(question="q", rationale="r" * 4_000_000).endswith("r")
