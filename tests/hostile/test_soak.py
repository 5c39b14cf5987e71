"""Twenty seconds of soak.py; ./test soak runs ten minutes of it, and again with the thread sanitizer."""

import soak
from server_fixtures import BINARY


def test_books_balance_and_memory_is_flat(built):
    report, wrong = soak.run(BINARY, 20)
    assert wrong == [], report
    assert sum(report["requests"].values()) > 100
