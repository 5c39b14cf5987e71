#pragma once

// The command line: reads the arguments and runs the command they name. Exit codes: 0 done, 2 what
// the user can mend (one sentence says what), 130 a download that the user has stopped.

#include "app/serve.h"

namespace reprise {

// `serve` is what `reprise serve` starts from; the arguments change what they name.
int RunCommandLine(int argc, char** argv, ServeOptions serve);

}  // namespace reprise
