"""What a stage has left to do: its inputs query, anti-joined with what is already in the corpus.

Invariant: an input counts as done when the stage's table or `rejections` has a row made from it
under the same stage fingerprint; that is the whole of resume.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sql.database import Database, statement

_PENDING = """
with inputs as ({inputs}),
done as (
    select input_id from raw_{table} where stage_fingerprint = getvariable('stage_fingerprint')
    union
    select input_id from raw_rejections where stage_fingerprint = getvariable('stage_fingerprint')
)
select {columns} from inputs
where record_id not in (select input_id from done)
    and (
        getvariable('shard') is null
        or problem_id in (select problem_id from stg_problems where shard = getvariable('shard'))
    )
"""


def _pending_query(
    database: Database, columns: str, *, reads: str, table: str, fingerprint: str, config: str,
    shard: int | None,
) -> str:  # fmt: skip
    database.set_variables(stage_fingerprint=fingerprint, config=config, shard=shard)
    return _PENDING.format(inputs=statement("inputs", reads), table=table, columns=columns)


def count_pending(database: Database, **query: Any) -> int:
    """How many inputs are left."""
    result = database.run(_pending_query(database, "count(*)", **query))
    return int(result.rows[0][0])


def stream_pending(database: Database, **query: Any) -> Iterator[dict[str, Any]]:
    """The inputs left, as column name -> value, a batch in memory at a time."""
    yield from database.stream(_pending_query(database, "inputs.*", **query))
