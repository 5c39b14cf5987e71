#pragma once

// The constants of e^x and tanh x (exp_lanes.h, exp_plain.h, tanh_plain.h), the highest power
// first.

namespace reprise {

// 2^f for |f| ≤ 1/2: 1 plus a polynomial of degree 6 (minimax fit of the relative error, 2e-9;
// 1.6e-8 with coefficients in f32), so that e^0 is 1 exactly.
inline constexpr float kExp2Series[] = {0.00015353361959569156F,
                                        0.0013398875016719103F,
                                        0.00961843691766262F,
                                        0.055503323674201965F,
                                        0.24022647738456726F,
                                        0.6931471824645996F,
                                        1.0F};

// tanh x = x + x³ P(x²) below kTanhNear in magnitude (minimax fit of the relative error, 7e-9 with
// coefficients in f32); elsewhere 1 - 2 / (1 + e^2|x|) with the sign of x.
inline constexpr float kTanhSeries[] = {-0.0055862474F, 0.020534517F, -0.053708334F, 0.13331077F,
                                        -0.3333327F};
inline constexpr float kTanhNear = 0.625F;

}  // namespace reprise
