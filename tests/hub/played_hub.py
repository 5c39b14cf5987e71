"""A hub on loopback, as much of it as is asked for files of models: the listing of a repository, and files, which
it redirects to a store on a port of its own (another origin), as the hub does. What goes wrong can be ordered.

The hub's own client (huggingface_hub) is served too, so that it is a witness of what is played here.
"""

import dataclasses
import hashlib
import http.server
import json
import random
import re
import threading
import time
import urllib.parse


def gguf_bytes(size, seed):
    """The letters that a GGUF file begins with, and noise."""
    return b"GGUF" + random.Random(seed).randbytes(size - 4)


@dataclasses.dataclass
class Repo:
    files: dict  # path: content
    commit: str = "1" * 40
    revisions: dict = dataclasses.field(default_factory=dict)  # further ones: name: commit
    token: str = None  # who has it may read; None: anybody
    gated: bool = False  # the listing is for all, the files are not
    redirect_to: str = None  # the repository has another name now

    def commit_of(self, revision):
        if revision in ("main", self.commit):
            return self.commit
        return self.revisions.get(revision)


@dataclasses.dataclass
class Order:
    """What the store does with GETs, until the order is another."""

    cuts: list = dataclasses.field(default_factory=list)  # of the next replies: bytes after which each is cut
    ignore_ranges: bool = False
    statuses: list = dataclasses.field(default_factory=list)  # of the next replies, instead of content
    content: dict = dataclasses.field(default_factory=dict)  # path: something else than the hub has said
    chunk: int = 1 << 20
    pause_s: float = 0  # after each chunk


class PlayedHub:
    def __init__(self):
        self.repos = {}
        self.order = Order()
        self.said_sizes = {}  # path: a size that is not the content's
        self.api_statuses = []  # of the next listings
        self.asked = []  # (server, method, path, headers)
        self._servers = []
        self.url = self._start(self._hub)
        self.store_url = self._start(self._store)
        self.mirror_url = self._start(self._mirror)  # sends everybody to the hub

    def stop(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []

    def asked_of(self, server, method=None):
        return [each for each in self.asked if each[0] == server and method in (None, each[1])]

    def _start(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    @staticmethod
    def _reply(request, status, headers=(), body=b""):
        request.send_response(status)
        for name, value in dict(headers).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def _refuse(self, request, status, reason, words=""):
        self._reply(request, status, {"X-Error-Code": reason, "X-Error-Message": words}, words.encode())

    def _mirror(self, request):
        self._reply(request, 302, {"Location": self.url + request.path}, b"Found")

    # -- The hub ------------------------------------------------------------------------------------

    def _hub(self, request):
        url = urllib.parse.urlsplit(request.path)
        path = urllib.parse.unquote(url.path)
        listing = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if not listing and not file:  # the hub's client asks for more than files
            return self._reply(request, 404)
        self.asked.append(("hub", request.command, path, dict(request.headers)))
        name, revision = (listing or file).groups()[:2]
        repo = self.repos.get(name)
        if repo and repo.redirect_to:
            where = request.path.replace(name, repo.redirect_to)
            return self._reply(request, 307, {"Location": where}, b"Temporary Redirect. Redirecting")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if listing and self.api_statuses:
            return self._refuse(request, self.api_statuses.pop(0), "", "")
        if token == "unknown":
            return self._refuse(request, 401, "", "Invalid credentials in Authorization header")
        if repo is None or (repo.token and token != repo.token and not repo.gated):
            return self._refuse(request, 404 if token else 401, "RepoNotFound", "Repository not found")
        commit = repo.commit_of(revision)
        if commit is None:
            return self._refuse(request, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if listing:
            return self._list(request, repo, commit, "blobs=true" in url.query)
        if repo.gated and token != repo.token:
            status = 403 if token else 401
            return self._refuse(request, status, "GatedRepo", f"Access to model {name} is restricted.")
        path = file.group(3)
        if path not in repo.files:
            return self._refuse(request, 404, "EntryNotFound", "Entry not found")
        content = repo.files[path]
        etag = hashlib.sha256(content).hexdigest()
        return self._reply(request, 302, {
            "Location": f"{self.store_url}/{etag}/{urllib.parse.quote(path)}?signature=secret",
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{etag}"',
            "X-Linked-Size": str(self.said_sizes.get(path, len(content))),
            "ETag": '"of the redirect"',
        })

    def _list(self, request, repo, commit, sizes):
        siblings = []
        for path, content in repo.files.items():
            size = self.said_sizes.get(path, len(content))
            file = {"rfilename": path}
            if sizes:
                sha256 = hashlib.sha256(content).hexdigest()
                file |= {"size": size, "blobId": "2" * 40, "lfs": {"sha256": sha256, "size": size, "pointerSize": 134}}
            siblings.append(file)
        body = json.dumps({"id": "o/r", "sha": commit, "siblings": siblings}).encode()
        self._reply(request, 200, {"Content-Type": "application/json"}, body)

    # -- The store ----------------------------------------------------------------------------------

    def _store(self, request):
        _, etag, path = urllib.parse.unquote(urllib.parse.urlsplit(request.path).path).split("/", 2)
        self.asked.append(("store", request.command, path, dict(request.headers)))
        order = self.order
        if order.statuses:
            return self._reply(request, order.statuses.pop(0))
        held = [content for repo in self.repos.values() for name, content in repo.files.items() if name == path]
        content = next(each for each in held if hashlib.sha256(each).hexdigest() == etag)
        content = order.content.get(path, content)
        begin = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if wanted and not order.ignore_ranges:
            begin = int(wanted.group(1))
            if begin >= len(content):
                return self._reply(request, 416, {"Content-Range": f"bytes */{len(content)}"})
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        body = content[begin:]
        request.send_header("Content-Length", str(len(body)))
        request.send_header("ETag", '"of the store"')
        request.end_headers()
        cut = order.cuts.pop(0) if order.cuts else len(body)
        for at in range(0, min(cut, len(body)), order.chunk):
            request.wfile.write(body[at:min(at + order.chunk, cut)])
            request.wfile.flush()
            time.sleep(order.pause_s)
        request.close_connection = cut < len(body)
