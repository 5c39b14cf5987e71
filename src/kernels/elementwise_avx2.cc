// Elementwise operations with AVX2.

#include "kernels/elementwise.h"
#include "kernels/elementwise_rows.h"
#include "kernels/exp_lanes.h"
#include "kernels/simd_avx2.h"

namespace reprise::avx2 {

const ElementwiseKernels kElementwise = {NormRow<Floats8>,       RotateAdjacent<Floats8>,
                                         RotateHalves<Floats8>,  ActivateGatedSlice<Floats8>,
                                         ActivateSlice<Floats8>, AddSlice<Floats8>,
                                         ExpSlice<Floats8>};

}  // namespace reprise::avx2
