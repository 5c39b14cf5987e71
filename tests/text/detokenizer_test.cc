#include "text/detokenizer.h"

#include <gtest/gtest.h>
