"""Results that are computed while others are used: their order, errors, number."""

import threading

import pytest

from youtube8m.util.ahead import computed_ahead


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(count):
    second_is_done = threading.Event()

    def square(n):
        if n == 0 and count > 1:
            assert second_is_done.wait(60)
        if n == 1:
            second_is_done.set()
        return n * n

    assert list(computed_ahead(square, range(4), count)) == [0, 1, 4, 9]
    assert list(computed_ahead(square, [], count)) == []


@pytest.mark.parametrize("count", [1, 3])
def test_the_next_items_are_computed_while_a_result_is_used(count):
    begun = [threading.Event() for _ in range(6)]
    results = computed_ahead(lambda n: begun[n].set() or n, range(6), count)
    assert next(results) == 0
    assert all(event.wait(60) for event in begun[1 : count + 1])
    assert not begun[count + 1].is_set()
    results.close()
    assert not any("ThreadPool" in t.name for t in threading.enumerate())


def test_items_are_taken_in_the_callers_thread():
    threads = []

    def items():
        for n in range(3):
            threads.append(threading.get_ident())
            yield n

    used = set(computed_ahead(lambda _: threading.get_ident(), items(), 2))
    assert {*threads} == {threading.get_ident()} and not used & {*threads}


def test_an_error_comes_in_its_place():
    results = computed_ahead(lambda n: 1 // n, [2, 1, 0, 3], 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)

    def items():
        yield 4
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(computed_ahead(abs, items()))
