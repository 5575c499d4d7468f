from events.seldom import Seldom


def test_of_many_lines_one_is_told_and_the_next_says_how_many_were_not() -> None:
    now_s = 100.0
    seldom = Seldom(5.0, clock_s=lambda: now_s)
    assert [seldom.due() for _ in range(4)] == [0, None, None, None]
    now_s += 4.9
    assert seldom.due() is None
    now_s += 0.1
    assert seldom.due() == 4
    assert seldom.due() is None
    now_s += 60.0
    assert seldom.due() == 1
