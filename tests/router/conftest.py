"""Fleets of real servers behind a real router, with a store that they share: `fleet(...)` makes one of the test's
own, `store` is a redis-server of it.
"""

import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parent)]

from api.conftest import built, start  # noqa: E402,F401
from api.store import Store  # noqa: E402
from fleet import Fleet  # noqa: E402


@pytest.fixture
def store(tmp_path):
    running = Store(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def fleet(built):  # noqa: F811
    """fleet(replicas, *options of each, router=options of the router) -> a Fleet of the test's own."""
    running = []

    def make(replicas, *options, **more):
        running.append(Fleet(replicas, *options, **more))
        return running[-1]

    yield make
    for each in running:
        each.stop()
