"""A minute of soak.py; ./test soak runs ten minutes of it, and again with the thread sanitizer."""

import soak
from server_fixtures import BINARY


def test_books_balance_and_memory_is_flat(built):
    # Memory rises by some 20 MiB from one flush to the next, every ten seconds or so; a third of a minute sees
    # whole rises, a third of less might compare the foot of one with the top of another.
    report, wrong = soak.run(BINARY, 60)
    assert wrong == [], report
    assert sum(report["requests"].values()) > 100
