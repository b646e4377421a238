"""Care of a corpus as files and rows: what it holds, whether it is sound, and how it moves.

Invariant: nothing here changes a corpus but through its writer (infra/storage), so a kill at any
moment leaves a whole corpus; what costs money to make again is never taken out unasked.
"""
