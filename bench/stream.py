"""One streamed chat request with nothing between us and the socket but the standard library, for
timing: the official clients spend some milliseconds of their own on each request."""
import http.client
import json
import time
import urllib.parse


class Server:
    """An OpenAI-compatible server at `url`."""

    def __init__(self, url, timeout_s=900):
        parsed = urllib.parse.urlparse(url)
        self.host, self.port, self.timeout_s = parsed.hostname, parsed.port, timeout_s

    def post(self, path, body):
        return self._request("POST", path, json.dumps(body))

    def get(self, path):
        return self._request("GET", path, None)

    def delete(self, path):
        return self._request("DELETE", path, None)

    def _request(self, method, path, body):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {response.read(400)!r}")
        return response

    def chat(self, messages, max_tokens=1, **more):
        """One streamed request, greedy unless `more` says otherwise: text, usage, seconds to the
        first and last text, and when each piece of text came, on time.perf_counter()."""
        body = {"model": "default", "messages": messages, "max_tokens": max_tokens, "temperature": 0,
                "stream": True, "stream_options": {"include_usage": True}, **more}
        begin = time.perf_counter()
        times = []  # of each piece of text
        text, usage = "", {}
        with self.post("/v1/chat/completions", body) as response:
            for line in response:
                if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                    continue
                event = json.loads(line[6:])
                usage = event.get("usage") or usage
                for choice in event.get("choices", []):
                    piece = choice["delta"].get("content")
                    if piece or choice.get("finish_reason"):
                        times.append(time.perf_counter() - begin)
                    text += piece or ""
        return {"text": text, "first": times[0], "last": times[-1],
                "prompt": usage["prompt_tokens"], "reply": usage["completion_tokens"],
                "times": [begin + t for t in times],
                "read": usage["prompt_tokens_details"]["cached_tokens"]}
