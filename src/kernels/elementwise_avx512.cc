// Elementwise operations with AVX-512.

#include "kernels/elementwise.h"
#include "kernels/elementwise_rows.h"
#include "kernels/exp_lanes.h"
#include "kernels/simd_avx512.h"

namespace reprise::avx512 {

const ElementwiseKernels kElementwise = {NormRow<Floats16>,       RotateAdjacent<Floats16>,
                                         RotateHalves<Floats16>,  ActivateGatedSlice<Floats16>,
                                         ActivateSlice<Floats16>, AddSlice<Floats16>,
                                         ExpSlice<Floats16>};

}  // namespace reprise::avx512
