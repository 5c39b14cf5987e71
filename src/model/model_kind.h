#pragma once

// What a GGUF file is for, where it is not a language model: such files lie beside models in the
// same repositories and folders, and are taken for them.

#include "base/error.h"
#include "model/gguf.h"

namespace reprise {

// kUnsupported with a sentence that says what the file is and what to do instead: the vision or
// audio part of a model (architecture clip, type mmproj), an adapter (LoRA), statistics for
// quantising (imatrix). kCorrupt: the keys that say so are of a wrong type.
Status CheckCanRun(const GgufFile& file);

}  // namespace reprise
