"""Who is turned away for himself, and when everybody is."""

from __future__ import annotations

from infra.engines.endpoint.suspects import FEW, MOST_TRIES, Suspects


class Server:
    """Requests in the order they are sent, all answered or turned away at once."""

    def __init__(self) -> None:
        self.suspects = Suspects()
        self.num_sent = 0

    def answer(self, times: int = 1) -> None:
        for _ in range(times):
            self.num_sent += 1
            self.suspects.answered(self.num_sent)

    def turn_away(self, body: str, status: int = 403) -> bool:
        self.num_sent += 1
        return self.suspects.is_proven(body.encode(), status, last_sent=self.num_sent)

    def turn_all_away(self, bodies: list[str]) -> list[bool]:
        return [self.turn_away(body) for body in bodies]


def test_a_record_is_given_up_at_its_second_time_among_answers() -> None:
    server = Server()
    server.answer(10)
    assert not server.turn_away("odd")
    server.answer(10)
    assert server.turn_away("odd")


def test_a_page_that_is_missing_for_a_moment_costs_no_record() -> None:
    server = Server()
    server.answer(10)
    for _ in range(3):
        assert not server.turn_away("odd", 404)
        server.answer(10)
    assert server.turn_away("odd", 404)


def test_the_last_records_of_a_stage_are_given_up_though_nobody_else_is_asked() -> None:
    server = Server()
    server.answer(10)
    assert not server.turn_away("odd")
    assert server.turn_away("odd")


def test_of_many_at_the_end_each_is_given_up_if_somebody_was_answered_since() -> None:
    server = Server()
    names = [f"odd {number}" for number in range(3 * FEW)]
    server.answer()
    assert not any(server.turn_all_away(names))
    assert not any(server.turn_all_away(names[1:]))  # nobody was answered since
    server.answer()
    assert all(server.turn_all_away(names))


def test_nobody_is_given_up_by_a_server_that_never_answered() -> None:
    server = Server()
    assert not any(server.turn_all_away(["odd"] * 3 * MOST_TRIES))
    assert not server.suspects.is_everybody


def test_a_server_that_turns_everybody_away_from_some_moment_on_is_told_apart() -> None:
    server = Server()
    server.answer(1000)
    names = [f"record {number}" for number in range(MOST_TRIES)]
    assert not any(server.turn_all_away(names + names))
    assert server.suspects.is_everybody


def test_replies_that_were_under_way_prove_nothing() -> None:
    server = Server()
    server.answer(10)
    server.num_sent = 40  # thirty are in flight, and then the door is shut
    for number in range(10):
        assert not server.turn_away(f"record {number}")
    for number in range(11, 41):  # sent before
        server.suspects.answered(number)
    for number in range(10, 10 + FEW):
        server.turn_away(f"record {number}")
    assert not any(server.turn_all_away([f"record {number}" for number in range(10)]))
