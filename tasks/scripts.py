"""Scripts that put no blanks between words: there a character is what a word is elsewhere.

Invariant: one list, for what compares questions (tasks/intake/wording.py) and chains
(tasks/diversity.py). Korean, Vietnamese and Tibetan mark their words or syllables.

A sample: spaced("共有8支笔 in all") == " 共  有 8 支  笔  in all"
"""

from __future__ import annotations

import re

_WITHOUT_BLANKS = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese, half-width too
    "\u3100-\u312f\u31a0-\u31bf"  # Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese
    "]"
)


def spaced(text: str) -> str:
    """The text with blanks around every character of such a script."""
    return text if text.isascii() else _WITHOUT_BLANKS.sub(r" \g<0> ", text)
