#pragma once

// The grids of GGUF's types of 1 to 3 bits: the runs of magnitudes that eight, or four, consecutive
// weights may have. An index in the file chooses one. Expanded at first use, then constant; any
// thread.

#include <cstdint>
#include <vector>

namespace reprise {

// Eight magnitudes 0, 1, 2: two bits each, the first weight's lowest.
const std::vector<uint16_t>& GridIQ2_XXS();  // [256]
const std::vector<uint16_t>& GridIQ2_XS();   // [512]
const std::vector<uint16_t>& GridIQ2_S();    // [1024]
const std::vector<uint16_t>& GridIQ1();      // [2048], of IQ1_S and IQ1_M

// Four magnitudes 0 .. 7: four bits each, the first weight's lowest.
const std::vector<uint16_t>& GridIQ3_XXS();  // [256]
const std::vector<uint16_t>& GridIQ3_S();    // [512]

}  // namespace reprise
