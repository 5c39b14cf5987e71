"""Raw figures of a run, one JSON a line, written as soon as each is known.

The first line is the run's head (what was asked for, on which machine); `nonce` in it makes the
run's prompts differ from every earlier run's. A run that is broken off keeps every whole line;
reading ignores a half-written last one. Figures that failed are kept as reasons and tried again on
resuming.
"""
import json
import os
import secrets


class Results:
    def __init__(self, path, head, resume):
        """With `resume`, goes on with `path` if it was begun with an equal `head`; else a new run,
        and an earlier file is kept as *.previous."""
        self.path = path
        self.values, self.failures = {}, {}
        self.seconds = 0  # that the figures took to measure
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._read() if path.exists() else []
        if resume and lines and self._asked(lines[0]) == self._asked(head):
            self.head = lines[0]
            for line in lines[1:]:
                self._take(line)
            self.failures.clear()
            self._rewrite([self.head, *(line for line in lines[1:] if "value" in line)])
            return
        self.resumed_in_vain = bool(resume and lines)
        if lines:
            path.replace(path.with_suffix(".previous"))
        self.head = {**head, "nonce": secrets.token_hex(4)}
        path.write_text(json.dumps(self.head) + "\n")

    resumed_in_vain = False

    @staticmethod
    def _asked(head):
        """What must be equal for two runs to be one."""
        return head.get("options")

    def _read(self):
        lines = []
        for line in self.path.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines

    def _take(self, line):
        if "failed" in line:
            self.failures[line["key"]] = line["failed"]
        else:
            self.values[line["key"]] = line["value"]
            self.seconds += line.get("seconds", 0)
            self.failures.pop(line["key"], None)

    def _rewrite(self, lines):
        """Drops a half line, so that appending starts on a fresh one."""
        scratch = self.path.with_suffix(".new")
        scratch.write_text("".join(json.dumps(line) + "\n" for line in lines))
        scratch.replace(self.path)

    @property
    def nonce(self):
        return self.head["nonce"]

    def _append(self, line):
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._take(line)

    def keep(self, key, value, seconds=0):
        self._append({"key": key, "value": value, "seconds": round(seconds, 2)})

    def fail(self, key, reason):
        self._append({"key": key, "failed": reason})

    def __contains__(self, key):
        return key in self.values

    def __getitem__(self, key):
        return self.values[key]

    def all(self, prefix):
        """Values whose keys begin with `prefix`, in the order of measuring."""
        return {k: v for k, v in self.values.items() if k.startswith(prefix)}

    def reasons(self, prefix):
        """The distinct reasons why figures below `prefix` are missing."""
        return list(dict.fromkeys(v for k, v in self.failures.items() if k.startswith(prefix)))
