"""The page at the end of a run: figures from the marts, and text that is only text."""

from __future__ import annotations

import ast
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.report import Report, markdown, print_report, summary_lines
from sql.database import connect
from tests.unit import sample_corpus as sample


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder: Path = tmp_path_factory.mktemp("report") / "corpus"
    return report_of(sample.write_sample(folder))


def report_of(parts: dict[str, list[str]]) -> Report:
    database = connect(parts)

    def mart(name: str) -> list[dict[str, Any]]:
        return database.run(f"from {name}").records()

    return Report(
        recipe="[/b] sample", corpus="corpus", kinds=("long", "rewritten", "compressed"),
        plugins=(), funnel=mart("funnel"),
        tokens=mart("tokens_by_level"),
        rounds=mart("compression_by_round"), selection=mart("selection_by_filter"),
        rejections=mart("rejections_by_reason"), evaluation=mart("evaluation_summary"),
        training=mart("training_summary"), max_length=140,
        usage=mart("usage_by_model"), disagreements=1, stage_seconds={"generate": 1.25},
        stage_rows={"generate": 4}, num_requests=9, num_repeated=1, total_seconds=2.0,
        example_id=sample.P0,
    )  # fmt: skip


def printed(report: Report) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=120))
    return stream.getvalue()


def test_figures_of_the_sample(report: Report) -> None:
    assert {line.name: line.value for line in summary_lines(report)} == {
        "problems": "3",
        "answered correctly": "50.0%",
        "levels": "1 easy · 1 hard",
        "mean tokens": "118 long -> 60 rewritten -> 30 compressed",
        "cut off": "0.0% long · 0.0% rewritten · 0.0% compressed",
        "compression": "1 kept round 1",
        "kept": "100%",
        "trained on": "2 of 4 examples",
        "training": "DeepSpeedEngine, ZeRO-2, 1 rank on cpu",
        "disagreements": "1",
    }


def test_examples_that_were_too_long_are_told(report: Report) -> None:
    told = "1 of 4 examples is longer than train.max_length and was left out (it is 140 tokens)"
    assert told in printed(report).splitlines()  # in one line
    assert told in markdown(report).splitlines()
    notes = {line.name: line.note for line in summary_lines(report)}
    assert notes["trained on"] == "1 held out, 1 too long"
    assert notes["training"] == "loss 0.500, held-out 0.750, 2 attempts"


@pytest.mark.parametrize("num_too_long", [0, None], ids=["none were", "an older row"])
def test_where_none_were_too_long_nothing_is_said(report: Report, num_too_long: int | None) -> None:
    row = {**report.training[0], "num_too_long": num_too_long}
    page = printed(report.model_copy(update={"training": [row]}))
    assert "trained on" in page
    assert "max_length" not in page


def test_answers_and_rationales_that_were_cut_off_are_told(report: Report) -> None:
    (first, *others), tokens = report.evaluation, report.tokens
    long = [
        {**row, "num_cut_off": row["num_rationales"]} for row in tokens if row["kind"] == "long"
    ]
    told = report.model_copy(
        update={"evaluation": [{**first, "share_cut_off": 0.125}, *others], "tokens": long}
    )
    assert {line.name: line.value for line in summary_lines(told)}["cut off"] == "100.0% long"
    (row,) = [line for line in printed(told).splitlines() if "before training" in line]
    assert "12.5%" in row
    assert "sample" in row  # the set
    assert "settings" not in printed(told)


def test_answers_of_other_settings_have_a_row_of_their_own(report: Report) -> None:
    asked = [{**report.evaluation[0], "settings": settings} for settings in ("hot", "cold")]
    page = printed(report.model_copy(update={"evaluation": asked}))
    rows = [line for line in page.splitlines() if "before training" in line]
    assert ["hot" in row for row in rows] == [True, False]
    assert "cold" in rows[1]


def test_the_page_says_what_to_try_next(report: Report) -> None:
    page = printed(report)
    assert "recipe [/b] sample" in page
    assert f"litecot show {sample.P0}" in page
    assert "after training" in page


def test_the_page_names_rejections_and_lists_them(report: Report) -> None:
    page = printed(report)
    assert "1 rejected: answer_changed (rewrite), e.g. said 3" in page
    assert "litecot sql 'from stg_rejections'" in page


def test_what_a_server_said_is_only_text(report: Report) -> None:
    said = "[red]no[/red] \x1b[2J"
    row = {"stage": "generate", "reason": "refused", "num_records": 3, "sample_detail": said}
    page = printed(report.model_copy(update={"rejections": [row]}))
    assert "3 rejected: refused (generate), e.g. [red]no[/red] \\x1b[2J" in page


def test_an_empty_run_has_a_page() -> None:
    empty = report_of({})
    assert [line.name for line in summary_lines(empty)] == ["problems", "disagreements"]
    assert "recipe" in printed(empty)
    assert markdown(empty).startswith("# ")


def test_markdown_escapes_what_models_wrote(report: Report) -> None:
    detail = "<script>x</script> | a\nb"
    rejected = {"stage": "rewrite", "reason": "refused", "num_records": 3, "sample_detail": detail}
    hostile = report.model_copy(update={"rejections": [rejected]})
    (row,) = [line for line in markdown(hostile).splitlines() if "script" in line]
    assert row == "- 3 refused (rewrite): &lt;script>x&lt;/script> \\| a b"


def test_the_last_lines_say_where_the_student_is_and_can_be_pasted(
    report: Report, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "..."}')
    page = printed(
        report.model_copy(update={"student": str(tmp_path), "question": "It's \x1b[2J\nshort?"})
    )
    lines = page.splitlines()
    (first,) = [number for number, line in enumerate(lines) if "the student is in" in line]
    assert str(tmp_path) in lines[first]
    code = [line.strip() for line in lines[first + 1 : first + 4]]
    parsed = ast.parse("\n".join(code))
    asked = [node.value for node in ast.walk(parsed) if isinstance(node, ast.Constant)]
    assert "<compress>It's \x1b[2J\nshort?" in asked
    assert "publish-model" in lines[first + 4]
    assert "the student is in" not in printed(report)
