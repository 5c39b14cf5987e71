#include "page/page_files.h"

#include <algorithm>

namespace reprise {

const PageFile* FindPageFile(std::string_view name) {
  const std::vector<PageFile>& files = internal::EmbeddedFiles();
  const auto found = std::ranges::find(files, name, &PageFile::name);
  return found == files.end() ? nullptr : &*found;
}

}  // namespace reprise
