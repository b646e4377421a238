"""Where `litecot` begins: signals are minded before anything slow is imported.

Invariant: what is imported here is of the standard library.
"""

from __future__ import annotations

from flows.cli.interruption import guard


def main() -> None:
    """Entry point."""
    guard()
    from flows.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
