"""Forecasts of a student from features of its training set (MACC, METHODS 2.4).

Invariant: pure; rows of the corpus in, rows of `forecasts` out. `config` is what a recipe sets,
`features` what is known of a training set, `students` the regression over those evaluated.
"""
