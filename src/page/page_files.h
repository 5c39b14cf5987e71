#pragma once

// The files of the page that browsers get at /: src/page/files as they stand in the repository, and
// uPlot, which the build fetches. Part of the program, so that the page needs nothing else. Any
// thread.

#include <string_view>
#include <vector>

namespace reprise {

struct PageFile {
  std::string_view name;  // below /page/: "app.js", "views/tree.js"
  std::string_view type;  // of its content, as HTTP names it
  std::string_view body;
};

// nullptr: there is none of that name.
const PageFile* FindPageFile(std::string_view name);

namespace internal {
const std::vector<PageFile>& EmbeddedFiles();  // made by embed.py
}

}  // namespace reprise
