"""Who gives way when there is no room."""

from millstream.connection.crowd import TURNED_AWAY_MAX, Crowd


class Guest:
    def __init__(self) -> None:
        self.is_closed = False

    def give_way(self) -> None:
        self.is_closed = True


def waiting(crowd: Crowd) -> Guest:
    guest = Guest()
    assert crowd.enter(guest)
    crowd.waits(guest)
    return guest


def test_the_one_that_has_waited_longest_gives_way() -> None:
    crowd = Crowd(3)
    first, second, third = waiting(crowd), waiting(crowd), waiting(crowd)
    crowd.works(first)
    fourth = waiting(crowd)
    assert [guest.is_closed for guest in (first, second, third, fourth)] == [False, True, False, False]
    crowd.waits(first)
    waiting(crowd)
    waiting(crowd)
    assert [guest.is_closed for guest in (first, third, fourth)] == [False, True, True]
    assert len(crowd) == 3


def test_whoever_is_served_is_not_disturbed() -> None:
    crowd = Crowd(2)
    guests = [waiting(crowd), waiting(crowd)]
    for guest in guests:
        crowd.works(guest)
    assert not crowd.enter(Guest())
    assert not any(guest.is_closed for guest in guests)
    crowd.leave(guests[0])
    assert crowd.enter(Guest())


def test_those_without_room_are_told_in_small_numbers() -> None:
    crowd = Crowd(0)
    told = [Guest() for _ in range(TURNED_AWAY_MAX + 1)]
    assert [crowd.turn_away(guest) for guest in told] == [True] * TURNED_AWAY_MAX + [False]
    crowd.waits(told[0])
    crowd.leave(told[0])
    crowd.leave(told[0])
    assert crowd.turn_away(told[-1])
