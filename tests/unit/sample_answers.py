"""What each analysis says about the sample corpus (tests/unit/sample_corpus.py), by hand."""

from __future__ import annotations

from typing import Any

from tests.unit.sample_corpus import P0, P2

ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "accuracy_by_subject": [
        ("sample", "none", 3, 0.5, 0.6667, 120.0),
    ],
    "compression_ratio_by_level": [
        ("easy", "rewritten", 1, 0, 100, 60, 0.6, 0.6, 0.6),
        ("easy", "compressed", 1, 0, 60, 30, 0.5, 0.5, 0.5),
    ],
    "cost_per_kept_example": [
        ("generate", 3, 300, 1.5, 15.0, 150.0, 0.75),
        ("compress", 2, 200, 1.0, 10.0, 100.0, 0.5),
        ("rewrite", 4, 130, 2.0, 35.0, 65.0, 1.0),
        ("difficulty", 2, 8, 1.0, 20.0, 4.0, 0.1),
    ],
    "difficulty_agreement": [
        ("easy", "easy", 1, 0.25, 1.0, 1.0),
        ("hard", "hard", 1, 0.75, 1.0, 1.0),
    ],
    "hardest_problems": [
        (P2, None, 0.0, 1, 50.0, None, None, "3", "What is 2 + 1?"),
        (P0, "easy", 0.5, 2, 110.0, None, None, "1", "What is 0 + 1?"),
    ],
    "kinds_kept": [
        ("original", "rewritten", 1, 1, 1.0, 0.5, 60.0, 60.0),
        ("compressed", "compressed", 1, 1, 1.0, 0.75, 30.0, 30.0),
    ],
    "length_histogram": [
        ("long", 32, 63, 1, 0.25),
        ("long", 64, 127, 2, 0.5),
        ("long", 128, 255, 1, 0.25),
        ("rewritten", 32, 63, 1, 1.0),
        ("compressed", 16, 31, 1, 1.0),
    ],
    "rd_against_correctness": [
        ("rd", 0.5, 1, 2, 0.625, 0.625, 1.0),
        ("length", 0.5, 1, 2, 9.0, 9.0, None),
        (None, 0.0, 1, 0, None, None, None),
        (None, 1.0, 1, 0, None, None, None),
    ],
    "rd_against_length": [
        ("rd", "rewritten", 1, None, 0.5, 60.0, 60.0, 60.0),
        ("rd", "compressed", 1, None, 0.75, 30.0, 30.0, 30.0),
    ],
    "rebound_by_level": [
        ("easy", "rebound", 1, 2.0, 1.0, 30.0, 1.0),
    ],
    "removed_at_ingest": [
        ("not_json", 1, "line 5", "sample:5", None, None),
    ],
    "rewrites_by_level": [
        ("easy", "accepted", 1, 1.0, 1.0, 60.0),
        ("hard", "answer_changed", 1, 1.0, 3.0, None),
    ],
    "scores_by_outcome": [
        ("original", "kept", "rd", 1, 0.5),
        ("original", "kept", "length", 1, 9.0),
        ("compressed", "kept", "rd", 1, 0.75),
        ("compressed", "kept", "length", 1, 9.0),
    ],
    "selection_by_level": [
        ("easy", "kept", 2, 1, 1.0, 0.625),
    ],
    "student_gain": [
        ("sample", False, 1, 0.0, 1.0, 1, 0, 80.0, 60.0, None),
    ],
    "suspect_gold_answers": [],
    "tokens_saved_per_hour": [
        ("compressor", 1, 200, 30, 0.15, 0.0003, None),
    ],
    "usage_by_stage": [
        ("generate", "teacher", 3, 3, 30, 300, 1.5),
        ("difficulty", "teacher", 2, 2, 40, 8, 0.2),
        ("rewrite", "teacher", 2, 4, 70, 130, 2.0),
        ("compress", "compressor", 2, 2, 20, 200, 1.0),
        ("evaluate", "base-student", 1, 1, 5, 80, 0.25),
        ("evaluate", "trained-student", 2, 2, 10, 80, 0.5),
    ],
    "verdicts_by_kind": [
        ("long", "brought", "correct", 1, 1.0, 200.0),
        ("long", "teacher", "correct", 1, 0.3333, 100.0),
        ("long", "teacher", "wrong", 1, 0.3333, 120.0),
        ("long", "teacher", "no_answer", 1, 0.3333, 50.0),
        ("rewritten", "teacher", "correct", 1, 1.0, 60.0),
        ("compressed", "compressor", "correct", 2, 1.0, 33.0),
    ],
    "waits_by_model": [
        ("rewrite", "teacher", 4, 0.5, 0.5, 0.5, 65.0),
        ("generate", "teacher", 3, 0.5, 0.5, 0.5, 200.0),
        ("compress", "compressor", 2, 0.5, 0.5, 0.5, 200.0),
        ("evaluate", "trained-student", 2, 0.25, 0.25, 0.25, 160.0),
        ("evaluate", "base-student", 1, 0.25, 0.25, 0.25, 320.0),
        ("difficulty", "teacher", 2, 0.1, 0.1, 0.1, 40.0),
    ],
}
