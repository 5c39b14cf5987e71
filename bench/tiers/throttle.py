"""A relay to a store on this machine that lets a given number of bytes a second through."""
import socket
import threading
import time

_PIECE = 16 << 10


class Relay:
    """`to`: the store's URL. `megabytes`: a second, from there to the client; None or 0: as many as come. `url`: for who
    shall come this way."""

    def __init__(self, to, megabytes):
        self.to, self.rate = int(to.rpartition(":")[2]), 1e6 * megabytes if megabytes else None
        self.stands_still = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            other = socket.create_connection(("127.0.0.1", self.to))
            for each in (client, other):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a command is passed on at once
            for source, sink, rate in ((client, other, None), (other, client, self.rate)):
                threading.Thread(target=self._pass_on, args=(source, sink, rate), daemon=True).start()

    def _pass_on(self, source, sink, rate):
        due = time.monotonic()
        try:
            while piece := source.recv(_PIECE):
                while self.stands_still:
                    time.sleep(0.01)
                if rate:
                    due = max(due, time.monotonic()) + len(piece) / rate
                    time.sleep(max(due - time.monotonic(), 0))
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            sink.close()
