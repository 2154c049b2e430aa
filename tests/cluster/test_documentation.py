"""The curl lines of server/http.md do what the page says: all are run, in its order, against three nodes.

A block that is indented by four holds curl lines (a backslash at the end continues one) and comments, and behind a line
what it answers. JSON must have the same members and values, but for indexes, cursors, times and ids, which are others
each time and go on into the lines that follow; any other text must stand in what was answered. A text of "…" is any.
A line with `curl -N` follows a stream: its first messages are compared, then it is ended. Every operation of
/openapi.json must have a line.
"""
import json
import os
import re
import subprocess
import tempfile

import cluster as harness
from cluster import clean_environment

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "server", "http.md")
NUMBERED = {"index", "cursor", "current_index", "deleted_index", "at_index"}
IN_COMMANDS = re.compile(r'((?:If-(?:None-)?Match: "|after=|at_index=|min_index=|cursor=|Last-Event-ID: |"prev_index":))(\d+)')


def steps(text):
    """Each command with the lines that stand behind it."""
    found = []
    lines = iter(text.split("\n"))
    for line in lines:
        if not line.startswith("    "):
            continue
        line = line[4:]
        if line.startswith("curl "):
            while line.endswith("\\"):
                line = line[:-1] + next(lines).strip()
            found.append((line, []))
        elif not line.startswith("#") and line.strip():
            assert found, line
            found[-1][1].append(line)
    return found


class Page:
    def __init__(self, base, directory):
        self.environment = clean_environment(BASE=base, LC_ALL="C.UTF-8")
        self.directory = directory
        self.numbers = {}  # as printed: as it is now

    def run(self, command, expected):
        command = IN_COMMANDS.sub(lambda found: found[1] + self.numbers.get(found[2], found[2]), command)
        streaming = "curl -N" in command
        if streaming:
            command = command.replace("curl -N", f"curl -N --max-time {max(1, round(harness.slowness))}", 1)
        ended = subprocess.run(["bash", "-c", command], cwd=self.directory, env=self.environment, capture_output=True,
                               text=True, errors="replace", timeout=60, check=False)
        # 28: the time that a stream was given; 52 and 56 come with an answer and its end.
        assert ended.returncode in ((0, 28, 52, 56) if streaming else (0,)), f"{command}: {ended.stderr}"
        answer = ended.stdout
        for line in expected:
            answer = self.find(line, answer, command)

    def find(self, line, answer, command):
        """What follows the line in the answer."""
        prefix, brace, rest = line.partition("{")
        if not brace or not rest.endswith("}"):
            number = re.fullmatch(r"id: (\d+)", line)
            line = f"id: {self.numbers.get(number[1], number[1])}" if number else line
            assert line in answer, f"{command}\n  wanted {line!r} in {answer!r}"
            return answer[answer.index(line) + len(line):]
        wanted = json.loads(brace + rest)
        for candidate in re.finditer(re.escape(prefix) + r"(\{.*\})", answer):
            seen = json.loads(candidate[1])
            if self.alike(wanted, seen, self.numbers):
                return answer[candidate.end():]
        raise AssertionError(f"{command}\n  wanted {line}\n  in {answer!r}")

    def alike(self, wanted, seen, numbers, key=""):
        if isinstance(wanted, dict) and isinstance(seen, dict):
            return wanted.keys() == seen.keys() and all(self.alike(wanted[k], seen[k], numbers, k) for k in wanted)
        if isinstance(wanted, list) and isinstance(seen, list):
            return len(wanted) == len(seen) and all(self.alike(w, s, numbers, key) for w, s in zip(wanted, seen))
        if key in NUMBERED and type(wanted) is type(seen):
            return numbers.setdefault(str(wanted), str(seen)) == str(seen)
        return wanted == seen or wanted == "…" or (key == "expire" and isinstance(seen, str))


def test_every_line_of_the_page(cluster):
    with open(PAGE, encoding="utf-8") as file:
        found = steps(file.read())
    node = cluster.nodes[0]
    with tempfile.TemporaryDirectory(prefix="cairn-page-") as directory:
        photo = os.urandom(3000)
        with open(os.path.join(directory, "photo.jpg"), "wb") as file:
            file.write(photo)
        page = Page(f"http://127.0.0.1:{node.http_port}", directory)
        for command, expected in found:
            page.run(command, expected)
        with open(os.path.join(directory, "copy.jpg"), "rb") as file:
            assert file.read() == photo
    lines = [command for command, _ in found]
    for path, methods in json.loads(node.client().request("GET", "/openapi.json").body)["paths"].items():
        target = re.escape(path).replace(r"\{name\}", r"[^\s?\"]+").replace(r"\{id\}", r"\d+").replace(r"\{file\}", r"[\w.]+")
        for method in methods:
            said = rf"-X {method.upper()}\b" if method != "get" else r"^(?!.*-X )"
            shown = [line for line in lines if re.search(said, line) and re.search(rf'\$BASE{target}(\?[^"]*)?"?$', line)]
            assert shown, f"no line shows {method.upper()} {path}"
