# Writes the commit that is being built into OUTPUT, and leaves the file alone where nothing changed.
# Run at each build: cmake -DSOURCE=<root> -DOUTPUT=<file> -P write_commit.cmake
find_package(Git QUIET)
set(commit "")
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} describe --always --abbrev=7 --exclude=* --dirty
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "app/version.h"

namespace reprise {

std::string_view BuiltCommit() { return "@commit@"; }

}  // namespace reprise
]])
