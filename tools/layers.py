#!/usr/bin/env python3
"""Draws the layers of src/ from the build's own link graph, so that the drawing cannot lie.

usage: tools/layers.py BUILD [--check PAGE | --write PAGE]

BUILD is a configured build folder. A layer is a folder of src/ (or bridge) whose CMakeLists.txt makes
a library reprise_…; nested folders are layers of their own. The first line of that file that begins
with `# src/<folder>: ` says what the layer is. Without options the picture is printed. --write puts it
between `<!-- layers: begin -->` and `<!-- layers: end -->` of PAGE. --check says where PAGE shows
another picture, where a file of src/ includes from a layer that its own does not link, and where links
run in a circle; it exits with 1 if it found anything. Python's standard library only.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

BEGIN, END = "<!-- layers: begin -->", "<!-- layers: end -->"
LIBRARY = re.compile(r"^\s*(?:reprise_layer\(\s*|add_library\(\s*reprise_)(\w+)(?!\s[^)\n]*IMPORTED)\b",
                     re.MULTILINE)
NODE = re.compile(r'^\s*"(\w+)" \[ label = "([^"\\]+)')
LINK = re.compile(r'^\s*"(\w+)" -> "(\w+)"(?: \[ style = (\w+) \])?')
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


class Layer:
    def __init__(self, name, cmake, about, line):
        self.name = name  # the folder below src/, or "bridge"
        self.cmake = cmake  # its CMakeLists.txt, from the root
        self.about = about
        self.line = line  # of its first library in that file
        self.links = set()  # names of layers
        self.public = set()  # of these, the ones that whoever links this layer may use too


def source_folder(build):
    cache = build / "CMakeCache.txt"
    if not cache.exists():
        sys.exit(f"layers.py: {build} is not a configured build folder")
    found = re.search(r"^CMAKE_HOME_DIRECTORY:\w+=(.*)$", cache.read_text(), re.MULTILINE)
    return pathlib.Path(found.group(1))


def link_graph(build):
    """What `cmake --graphviz` writes for the project; it configures again where that is needed."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "links.dot")
        done = subprocess.run(["cmake", f"--graphviz={path}", build], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"layers.py: cmake failed\n{done.stderr}")
        return path.read_text()


def read_layers(root, graph):
    """{name: Layer}. Several libraries of one folder are one layer."""
    layers, layer_of = {}, {}  # the second by library
    for path in [*sorted((root / "src").rglob("CMakeLists.txt")), root / "bridge/CMakeLists.txt"]:
        text = path.read_text() if path.exists() else ""
        libraries = list(LIBRARY.finditer(text))
        if not libraries:
            continue
        folder = path.parent.relative_to(root).as_posix()
        about = re.search(rf"^# {re.escape(folder)}: (.+)$", text, re.MULTILINE)
        name = folder.removeprefix("src/")
        layers[name] = Layer(name, path.relative_to(root).as_posix(), about and about.group(1).strip(),
                             text.count("\n", 0, libraries[0].start(1)) + 1)
        layer_of |= {f"reprise_{library.group(1)}": name for library in libraries}
    nodes = {}
    for line in graph.splitlines():
        if node := NODE.match(line):
            nodes[node.group(1)] = node.group(2)
        elif link := LINK.match(line):
            user, used = (layer_of.get(nodes.get(each)) for each in link.groups()[:2])
            if user and used and user != used:
                layers[user].links.add(used)
                if link.group(3) != "dotted":  # dotted: PRIVATE
                    layers[user].public.add(used)
    return layers


def circle(layers):
    """Names of layers that link one another in a circle, the first one again at the end; or []."""
    done = set()

    def walk(name, path):
        if name in path:
            return [*path[path.index(name):], name]
        if name in done:
            return []
        for used in sorted(layers[name].links):
            if found := walk(used, [*path, name]):
                return found
        done.add(name)
        return []

    return next(filter(None, (walk(name, []) for name in sorted(layers))), [])


def below(layers, name):
    """All layers under `name`, whoever links them. REQUIRES: no circle."""
    return layers[name].links.union(*(below(layers, used) for used in layers[name].links))


def visible(layers, name):
    """The layers whose headers `name` may include: what it links, and what these link publicly."""
    seen, todo = set(), list(layers[name].links)
    while todo:
        used = todo.pop()
        if used not in seen:
            seen.add(used)
            todo += layers[used].public
    return seen


def picture(layers):
    """A Markdown table from top to bottom. REQUIRES: no circle."""
    under = {name: below(layers, name) for name in layers}
    height = {}
    for name in sorted(layers, key=lambda name: len(under[name])):
        height[name] = 1 + max((height[used] for used in under[name]), default=0)
    lines = ["| layer | rests on | what it is |", "|---|---|---|"]
    for name in sorted(layers, key=lambda name: (-height[name], name)):
        links = layers[name].links
        direct = links - set().union(*(under[used] for used in links))
        rests_on = ", ".join(sorted(direct, key=lambda used: (-height[used], used))) or "–"
        folder = pathlib.PurePosixPath(layers[name].cmake).parent
        lines.append(f"| `{folder}` | {rests_on} | {layers[name].about or ''} |")
    return "\n".join(lines) + "\n"


def layer_of_path(layers, path):
    """The deepest layer whose folder holds `path` (a path below src/), or None."""
    parts = path.split("/")[:-1]
    names = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((name for name in names if name in layers), None)


def include_faults(root, layers):
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        where = path.relative_to(root / "src").as_posix()
        own = layer_of_path(layers, where)
        if own is None:
            yield f"src/{where}:1: the file lies in no layer"
            continue
        allowed = visible(layers, own) | {own}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            target = layer_of_path(layers, found.group(1)) if found else None
            if target and target not in allowed:
                yield (f"src/{where}:{number}: {own} includes {found.group(1)}, "
                       f"but does not link {target}")


def graph_faults(layers):
    for name in sorted(layers):
        if not layers[name].about:
            folder = pathlib.PurePosixPath(layers[name].cmake).parent
            yield f"{layers[name].cmake}:1: no line says '# {folder}: ' and what the layer is"
    if found := circle(layers):
        first = layers[found[0]]
        yield f"{first.cmake}:{first.line}: links run in a circle: {' -> '.join(found)}"


def block(page):
    """(text, start, end) of the picture in `page`."""
    text = page.read_text()
    start, end = text.find(BEGIN), text.find(END)
    if start < 0 or end < start:
        sys.exit(f"{page}:1: there is no '{BEGIN}' with '{END}' after it")
    return text, start + len(BEGIN) + 1, end


def page_faults(page, drawn):
    text, start, end = block(page)
    if text[start:end] != drawn:
        shown, line = text[start:end].splitlines(), text.count("\n", 0, start) + 1
        wanted = drawn.splitlines()
        same = next((i for i, pair in enumerate(zip(shown, wanted)) if pair[0] != pair[1]),
                    min(len(shown), len(wanted)))
        yield f"{page}:{line + same}: the layers are not as the build links them; see layers.py --write"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, metavar="BUILD", help="a configured build folder")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--check", type=pathlib.Path, metavar="PAGE", help="say what does not hold")
    either.add_argument("--write", type=pathlib.Path, metavar="PAGE", help="put the picture there")
    options = parser.parse_args()
    root = source_folder(options.build)
    layers = read_layers(root, link_graph(options.build))
    faults = list(graph_faults(layers))
    drawn = "" if circle(layers) else picture(layers)
    if options.check:
        faults += include_faults(root, layers)
        faults += page_faults(options.check, drawn) if drawn else []
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(1)
    if options.write:
        text, start, end = block(options.write)
        options.write.write_text(text[:start] + drawn + text[end:])
    elif not options.check:
        print(drawn, end="")


if __name__ == "__main__":
    main()
