"""What evaluated answers say, and how sure one may be of it (Miller, arXiv 2411.00640).

Invariant: pure functions over arrays, no row, path or model in here; samples are averaged by
question first, and questions of one family count as one cluster. Distributions, tests and
regressions are those of scipy, statsmodels and scikit-learn.

    outcomes    one model's answers to a set of questions, an entry a question
    rates       pass@k, maj@k
    clusters    the error of means and ratios where questions come in families
    intervals   of an accuracy
    tokens      how long the answers are, what a correct one costs
    paired      two models on the same questions
    forecast    accuracy and tokens of a student from features of its training set
"""
