// The scan of Mamba-2 with AVX2.

#include <cstring>

#include "kernels/state_kernel.h"

namespace reprise::avx2 {
namespace {

#include "kernels/state_kernel_body.h"

}  // namespace

const StateKernels kState = {Scan};

}  // namespace reprise::avx2
