"""tools/layers.py on a tiny project that CMake configures: three layers, one of them nested."""
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(tiny LANGUAGES CXX)
add_library(reprise_options INTERFACE)
function(reprise_layer name)
  cmake_parse_arguments(LAYER "" "" "USES;PRIVATE" ${ARGN})
  add_library(reprise_${name} STATIC layer.cc)
  target_link_libraries(reprise_${name} PUBLIC reprise_options ${LAYER_USES} PRIVATE ${LAYER_PRIVATE})
endfunction()
add_subdirectory(src/floor)
add_subdirectory(src/walls)
add_subdirectory(src/walls/window)
add_subdirectory(src/roof)
"""
LAYERS = {
    "floor": "# src/floor: what all stand on\nreprise_layer(floor)\n",
    "walls": "# src/walls: what carries\nreprise_layer(walls PRIVATE reprise_floor)\n",
    "walls/window": "# src/walls/window: to look out\n"
                    "reprise_layer(walls_window USES reprise_walls reprise_floor)\n",
    "roof": "# src/roof: against rain\nreprise_layer(roof USES reprise_walls_window)\n",
}
PICTURE = """| layer | rests on | what it is |
|---|---|---|
| `src/roof` | walls/window | against rain |
| `src/walls/window` | walls | to look out |
| `src/walls` | floor | what carries |
| `src/floor` | – | what all stand on |
"""
PAGE = "# A page\n\n<!-- layers: begin -->\n{}<!-- layers: end -->\n\nMore.\n"


class Tiny:
    def __init__(self, folder):
        self.root = folder / "tree"
        self.build = folder / "build"
        self.page = self.root / "page.md"
        self.put("CMakeLists.txt", PROJECT)
        for name, text in LAYERS.items():
            self.put(f"src/{name}/CMakeLists.txt", text)
            self.put(f"src/{name}/layer.h", "#pragma once\n")
            self.put(f"src/{name}/layer.cc", f'#include "{name}/layer.h"\n#include <vector>\n')
        self.put("page.md", PAGE.format(PICTURE))
        subprocess.run(["cmake", "-G", "Ninja", "-S", self.root, "-B", self.build], check=True,
                       stdout=subprocess.DEVNULL)

    def put(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *options):
        """(exit status, lines)"""
        command = [sys.executable, ROOT / "tools/layers.py", self.build, *options]
        done = subprocess.run(command, capture_output=True, text=True)
        assert not done.stderr
        return done.returncode, done.stdout.splitlines()

    def check(self):
        return self.run("--check", self.page)


@pytest.fixture
def tiny(tmp_path):
    return Tiny(tmp_path)


def test_the_picture_leaves_out_what_other_links_imply(tiny):
    assert tiny.run() == (0, PICTURE.splitlines())
    assert tiny.check() == (0, [])


def test_an_include_from_a_layer_above_is_reported(tiny):
    tiny.put("src/walls/layer.cc", '#include "floor/layer.h"\n#include "roof/layer.h"\n')
    assert tiny.check() == (1, ["src/walls/layer.cc:2: walls includes roof/layer.h, but does not link roof"])


def test_a_folder_and_the_one_within_it_are_two_layers(tiny):
    tiny.put("src/walls/layer.h", '#include "walls/window/layer.h"\n')
    status, faults = tiny.check()
    assert status == 1 and faults == ["src/walls/layer.h:1: walls includes walls/window/layer.h, "
                                      "but does not link walls/window"]


def test_what_a_layer_links_privately_is_not_for_those_above(tiny):
    tiny.put("src/roof/layer.cc", '#include "walls/layer.h"\n#include "floor/layer.h"\n')
    assert tiny.check() == (0, [])  # window links floor publicly
    tiny.put("src/walls/window/CMakeLists.txt", "# src/walls/window: to look out\n"
             "reprise_layer(walls_window USES reprise_walls)\n")
    assert tiny.check() == (1, ["src/roof/layer.cc:2: roof includes floor/layer.h, but does not link floor"])


def test_a_stale_picture_is_reported_and_written_anew(tiny):
    stale = PICTURE.replace("against rain", "against hail")
    tiny.put("page.md", PAGE.format(stale))
    status, faults = tiny.check()
    assert status == 1 and len(faults) == 1 and faults[0].startswith(f"{tiny.page}:6: ")
    assert tiny.run("--write", tiny.page) == (0, [])
    assert tiny.page.read_text() == PAGE.format(PICTURE)


def test_a_circle_of_links_is_reported(tiny):
    tiny.put("src/floor/CMakeLists.txt", LAYERS["floor"].replace(")", " PRIVATE reprise_roof)"))
    status, faults = tiny.check()
    assert status == 1
    assert faults == ["src/floor/CMakeLists.txt:2: links run in a circle: "
                      "floor -> roof -> walls/window -> floor"]


def test_a_layer_that_says_nothing_of_itself_is_reported(tiny):
    tiny.put("src/roof/CMakeLists.txt", "reprise_layer(roof USES reprise_walls_window)\n")
    status, faults = tiny.check()
    assert status == 1
    assert faults[0] == "src/roof/CMakeLists.txt:1: no line says '# src/roof: ' and what the layer is"
