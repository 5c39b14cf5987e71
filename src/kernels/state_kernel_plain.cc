// The scan of Mamba-2 with plain C++.

#include <cstring>

#include "kernels/state_kernel.h"

namespace reprise::plain {
namespace {

#include "kernels/state_kernel_body.h"

}  // namespace

const StateKernels kState = {Scan};

}  // namespace reprise::plain
