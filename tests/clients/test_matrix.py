"""Every client library does what it is for; matrix.py has the list, tries/ what each does."""

import matrix
import pytest
from server_fixtures import SCRIPTED_BINARY, Server


@pytest.fixture(scope="module")
def scripted(built):
    running = Server(*matrix.SERVER_OPTIONS, binary=SCRIPTED_BINARY)
    yield running
    running.stop()


@pytest.mark.parametrize("client", matrix.CLIENTS)
def test_a_client(client, scripted):
    try:
        results = matrix.try_client(client, f"http://127.0.0.1:{scripted.port}")
    except matrix.CannotRun as reason:
        pytest.skip(str(reason))
    assert results == dict.fromkeys(results, True)
    assert len(results) >= 2
