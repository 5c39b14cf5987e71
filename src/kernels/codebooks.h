#pragma once

// The lists that GGUF's codebook types choose their weights from, as packing keeps them: at most 16
// integers, so that a weight is a code of 3 or 4 bits. Codes that no weight has stand for 0.
// Source: ggml-common.h of ggml-org/llama.cpp (MIT). Constants; any thread.

#include <cstdint>

namespace reprise::codebooks {

// IQ4_NL, IQ4_XS: steps that widen outwards; the code is the file's.
inline constexpr int8_t kUneven[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};

// MXFP4: twice the values of E2M1 (OCP Microscaling Formats 1.0, section 5.3.3); the code is the
// file's: a sign, two bits of exponent, one of mantissa. Zero has both signs.
inline constexpr int8_t kTwiceE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// IQ3_XXS and IQ3_S: code = magnitude + 8 · (negative), the magnitudes those of their grids.
inline constexpr int8_t kThreeBitXxs[16] = {4,  12,  20,  28,  36,  44,  52,  62,
                                            -4, -12, -20, -28, -36, -44, -52, -62};
inline constexpr int8_t kThreeBitS[16] = {1,  3,  5,  7,  9,  11,  13,  15,
                                          -1, -3, -5, -7, -9, -11, -13, -15};

// IQ2_XXS, IQ2_XS, IQ2_S: code = magnitude + 4 · (negative).
inline constexpr int8_t kTwoBit[16] = {8, 25, 43, 0, -8, -25, -43, 0};

// IQ1_S, IQ1_M: eight times g + 1/8 and, from code 4 on, g − 1/8, where g = code mod 4 − 1.
inline constexpr int8_t kOneBit[16] = {-7, 1, 9, 0, -9, -1, 7, 0};

}  // namespace reprise::codebooks
