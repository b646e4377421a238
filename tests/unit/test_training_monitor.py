"""The driver of a training: what it hears of its ranks, in whatever order, and what it starts."""

from __future__ import annotations

from infra.training.monitor import Monitor


def test_a_lost_attempt_says_nothing_more() -> None:
    """A rank was killed to save memory; another, in its step, then had no process group."""
    monitor = Monitor(attempts=0)
    first = monitor.begin()
    monitor.lost(["rank 1: killed"])
    monitor.failed("AssertionError: backend not set", "trace", attempt=first)
    news = monitor.take()
    assert (news.fault, news.lost, news.began) == (None, ["rank 1: killed"], False)


def test_the_first_fault_of_the_attempt_that_runs_is_heard() -> None:
    monitor = Monitor(attempts=3)
    monitor.begin()
    monitor.lost(["rank 0: died"])
    again = monitor.begin()
    assert again == 5
    monitor.failed("the loss is no number", "trace", attempt=again)
    monitor.failed("and more", "trace", attempt=again)
    assert monitor.take().fault == ("the loss is no number", "trace")
    monitor.lost(["all ranks ended"])  # as they do after a fault
    assert monitor.take().fault is None


def test_a_training_starts_no_actor_that_it_does_not_use() -> None:
    """No Ray datasets are handed out, and placement groups go with the driver."""
    from ray.train import ScalingConfig

    from infra.training.ray_driver import _Trainer

    trainer = _Trainer(lambda: None, scaling_config=ScalingConfig(num_workers=1))
    kept = {type(one).__name__ for one in trainer._create_default_callbacks()}
    assert "BackendSetupCallback" in kept
    assert not kept & {"DatasetsCallback", "PlacementGroupCleanerCallback"}
