"""A relay to a port of this machine that lets a given number of bytes a second through."""
import socket
import threading
import time

_PIECE = 16 << 10


class Relay:
    """`megabytes`: a second, from the other side to the client; None or 0: as many as come."""

    def __init__(self, to, megabytes):
        self.to, self.rate = to, 1e6 * megabytes if megabytes else None
        self.stands_still = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
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
