#include "app/command_line.h"
#include "app/openmp.h"

int main(int argc, char** argv) {
  reprise::BoundOpenMpSpinning(argv);
  return reprise::RunCommandLine(argc, argv, {});
}
