"""Which replica gets a request, and who is blamed for a death: the pure decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.hosting.dispatch import Dispatch, Request
from infra.hosting.loads import Loads
from infra.hosting.suspects import Suspects


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def dispatch(*, limit: int = 4, replicas: int = 2) -> Dispatch:
    made = Dispatch(limit, clock=Clock())
    for replica in range(replicas):
        made.add(replica)
    return made


def submit(made: Dispatch, *keys: str, affinity: str = "") -> list[Request]:
    requests = [Request(key=key, affinity=affinity) for key in keys]
    for request in requests:
        made.submit(request)
    return requests


def sent(made: Dispatch) -> dict[Hashable, int]:
    return {request.key: replica for request, replica in made.assign()}


def affinity_of(replica: int, replicas: int = 2) -> str:
    """Some problem whose replica this is."""
    return next(
        name for name in map(str, range(100)) if Loads(range(replicas)).preferred(name) == replica
    )


def test_the_least_busy_replica_is_next() -> None:
    made = dispatch()
    submit(made, *"abcd")
    assert Counter(sent(made).values()) == {0: 2, 1: 2}


def test_more_wait_in_the_order_they_came() -> None:
    made = dispatch(limit=1)
    first, *_ = submit(made, *"abcd")
    assert list(sent(made)) == ["a", "b"]
    made.leave(first)
    assert list(sent(made)) == ["c"]


def test_one_problem_stays_with_one_replica() -> None:
    made = dispatch(limit=32)
    for replica in (0, 1):
        submit(made, "a", "b", affinity=affinity_of(replica))
        assert set(sent(made).values()) == {replica}


def test_unless_that_one_is_clearly_busier() -> None:
    made = dispatch(limit=32)  # an eighth of it: 4
    submit(made, *"abcde", affinity=affinity_of(1))
    assert set(sent(made).values()) == {1}
    submit(made, "f", affinity=affinity_of(1))
    assert sent(made) == {"f": 0}


def test_only_the_affinities_of_a_lost_replica_move() -> None:
    names = [str(n) for n in range(300)]
    loads = Loads(range(4))
    before = {name: loads.preferred(name) for name in names}
    hidden = {name: loads.preferred(name, without=2) for name in names}
    loads.remove(2)
    after = {name: loads.preferred(name) for name in names}
    assert hidden == after
    assert all(before[n] == after[n] for n in names if before[n] != 2)
    assert min(Counter(before.values()).values()) > 40


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=60), st.integers(0, 9))
def test_loads_are_those_of_a_plain_count(changes: list[tuple[int, int]], hidden: int) -> None:
    loads, plain = Loads(), dict[int, int]()
    for replica, by in changes:
        if replica not in plain:
            loads.add(replica)
            plain[replica] = 0
        elif not by:
            loads.remove(replica)
            del plain[replica]
            continue
        loads.change(replica, by)
        plain[replica] += by
    assert {replica: loads[replica] for replica in plain} == plain
    without = hidden if hidden in plain else None
    others = [replica for replica in plain if replica != without]
    expected = min(others, key=lambda r: (plain[r], r), default=None)
    assert loads.least(without=without) == expected
    favourite = loads.preferred("p", without=without)
    assert favourite in others if others else favourite is None
    assert {replica: loads[replica] for replica in plain} == plain


def test_a_cancelled_request_gives_its_place_to_the_next() -> None:
    made = dispatch(limit=1, replicas=1)
    a, b, _ = submit(made, *"abc")
    assert sent(made) == {"a": 0}
    made.leave(b)
    made.leave(a)
    assert sent(made) == {"c": 0}


def test_idle_and_waiting_times() -> None:
    clock = Clock()
    made = Dispatch(1, clock=clock)
    made.add(0)
    clock.now = 5
    assert made.idle_s() == {0: 5}
    request, _ = submit(made, "a", "b")
    made.assign()
    clock.now = 8
    assert (made.idle_s(), made.waited_s) == ({}, 3)
    made.leave(request)
    made.assign()
    assert made.waited_s == 0


@dataclass
class Engines:
    """Replicas that die of poison, driven until nothing waits."""

    poison: frozenset[str]
    replicas: int
    limit: int
    answered: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    inside: dict[int, list[Request]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.made = dispatch(limit=self.limit, replicas=self.replicas)
        self.inside = {replica: [] for replica in range(self.replicas)}

    def run(self, keys: list[str], choices: st.DataObject) -> None:
        submit(self.made, *keys)
        for _ in range(10_000):
            for request, replica in self.made.assign():
                self.inside[replica].append(request)
            self.check()
            busy = [replica for replica in self.inside if self.inside[replica]]
            if not busy:
                break
            self.step(choices.draw(st.sampled_from(busy)), choices)
        assert self.made.is_empty

    def check(self) -> None:
        for requests in self.inside.values():
            assert len(requests) <= self.limit
            cells = {self.made.suspects.cell(request.key) for request in requests}
            assert len(cells) <= 1, "suspects share a replica with their cell only"

    def step(self, replica: int, choices: st.DataObject) -> None:
        """One request ends: well, or with the engine."""
        requests = self.inside[replica]
        request = choices.draw(st.sampled_from(requests))
        if request.key in self.poison:
            self.die(replica, request.key)
            return
        requests.remove(request)
        self.answered[str(request.key)] += 1
        self.made.leave(request, is_cleared=True)

    def die(self, replica: int, killer: str) -> None:
        self.deaths[killer] += 1
        lost, self.inside[replica] = self.inside[replica], []
        poisoned = self.made.accuse(self.made.remove(replica))
        self.rejected.update(str(request.key) for request in poisoned)
        for request in lost:
            if self.made.suspects.is_poison(request.key):
                self.rejected[str(request.key)] += 1
            else:
                self.made.submit(request)
        self.made.add(replica)


@given(
    innocents=st.integers(0, 40),
    poisons=st.integers(0, 4),
    replicas=st.integers(1, 4),
    limit=st.integers(1, 20),
    choices=st.data(),
)
def test_poison_is_found_in_three_deaths_and_nobody_else_is_blamed(
    innocents: int, poisons: int, replicas: int, limit: int, choices: st.DataObject
) -> None:
    poison = [f"poison {n}" for n in range(poisons)]
    keys = choices.draw(st.permutations([*(f"innocent {n}" for n in range(innocents)), *poison]))
    engines = Engines(frozenset(poison), replicas, limit)
    engines.run(keys, choices)
    assert engines.answered == Counter(key for key in keys if key not in poison)
    assert engines.rejected == Counter(poison)
    assert all(engines.deaths[key] <= 3 for key in poison)


@given(innocents=st.integers(0, 400))
def test_a_lone_poison_dies_exactly_three_times(innocents: int) -> None:
    suspects = Suspects()
    everybody = ["poison", *range(innocents)]
    suspects.accuse(everybody)
    cell = [key for key in everybody if suspects.cell(key) == suspects.cell("poison")]
    assert len(cell) <= innocents**0.5 + 2
    suspects.accuse(cell)
    assert [key for key in everybody if suspects.cell(key) == suspects.cell("poison")] == ["poison"]
    assert not suspects.is_poison("poison")
    suspects.accuse(["poison"])
    assert suspects.is_poison("poison")
    assert not any(suspects.is_poison(key) for key in range(innocents))


@given(
    orders=st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=80),
    limit=st.integers(1, 5),
    replicas=st.integers(1, 3),
)
def test_no_request_starves_or_goes_twice(
    orders: list[tuple[str, bool]], limit: int, replicas: int
) -> None:
    made = dispatch(limit=limit, replicas=replicas)
    came: list[Request] = []
    went: list[Request] = []
    left: set[Request] = set()
    for affinity, is_leaving in orders:
        if is_leaving and len(left) < len(went):
            left.add(gone := next(request for request in went if request not in left))
            made.leave(gone)
        came += submit(made, affinity, affinity=affinity)
        went += [request for request, _ in made.assign()]
        assert len(went) - len(left) <= limit * replicas
        if len(went) < len(came):  # somebody waits: then every place is taken
            assert len(went) - len(left) == limit * replicas
    assert went == came[: len(went)]


def test_others_do_not_share_a_replica_with_suspects() -> None:
    made = dispatch(replicas=1)
    submit(made, *"abcd")
    made.assign()
    made.accuse(made.remove(0))
    made.add(0)
    submit(made, *"abcd", "other")
    assert set(sent(made)) == {"a", "b"}  # half of four, together
    made.suspects.clear("b")
    submit(made, "late")
    assert sent(made) == {}


def test_with_more_replicas_the_others_go_on() -> None:
    made = dispatch(replicas=2)
    submit(made, *"abcd")
    lost = [request.key for request, replica in made.assign() if replica == 0]
    made.accuse(made.remove(0))
    submit(made, *map(str, lost), "other")
    assert sent(made) == {}  # replica 1 is let run empty for the suspects
    made.add(0)
    assert sent(made)["other"] == 1


@pytest.mark.parametrize("num_deaths", [1, 2])
def test_an_answer_clears(num_deaths: int) -> None:
    suspects = Suspects()
    for _ in range(num_deaths):
        suspects.accuse(["a"])
    assert suspects.cell("a") is not None
    suspects.clear("a")
    suspects.accuse(["a"])
    assert not suspects.is_poison("a")


def test_an_equal_request_that_waits_is_refused_with_the_culprit() -> None:
    made = dispatch(replicas=1, limit=1)
    submit(made, "a", "a")
    for number in range(3):
        made.assign()
        poison = made.accuse(made.remove(0))
        made.add(0)
        if number < 2:
            submit(made, "a")
    assert [request.key for request in poison] == ["a"]
    assert made.is_empty
