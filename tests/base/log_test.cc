#include "base/log.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(LogTest, WhatComesFromOutsideBeginsNoLineAndMovesNoCursor) {
  EXPECT_EQ(Printable("a\n12:00:00 I all is well\r\x1b[2J"),
            "a\\x0a12:00:00 I all is well\\x0d\\x1b[2J");
  EXPECT_EQ(Printable("\x7f\t\xC2\x9B"
                      "31m"),
            "\\x7f\\x09\\x9b31m");
  EXPECT_EQ(Printable("é – 中\xC2\xA0"), "é – 中\xC2\xA0");
}

}  // namespace
}  // namespace reprise
