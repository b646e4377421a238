"""The questions asked of a corpus: SQL files, and what runs them; the only folder with duckdb.

Invariant: raw_<table> is what is stored, stg_<table> the rows of the selected run, a mart an answer
to a question; raw_* is read by staging alone, and by what is asked across runs (runs, costs,
status). See docs/sql.md.
"""
