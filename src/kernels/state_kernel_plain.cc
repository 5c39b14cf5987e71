// The scan of Mamba-2 and the delta rule with plain C++.

#include <cstring>

#include "kernels/state_kernel.h"

namespace reprise::plain {
namespace {

#include "kernels/state_kernel_body.h"

}  // namespace

const StateKernels kState = {Scan, Delta};

}  // namespace reprise::plain
