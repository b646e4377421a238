"""Amounts as a person reads them.

A sample: amount(1, "row") == "1 row", size(3 * 2**20) == "3.0 MiB"
"""

from __future__ import annotations

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def amount(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def size(num_bytes: int) -> str:
    """With its unit, three or four digits."""
    value, unit = float(num_bytes), 0
    while abs(value) >= 1024 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{num_bytes} bytes" if unit == 0 else f"{value:.1f} {UNITS[unit]}"
