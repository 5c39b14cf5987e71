// kernel_bench: prints each kernel's rate beside its yardstick's, measured turn by turn.
//
//   kernel_bench --benchmark_filter=product/135M/.*Q4_1
//   kernel_bench --benchmark_format=json > kernels.json

#include <benchmark/benchmark.h>
#include <omp.h>

#include <string>

#include "kernels/operations.h"
#include "measure.h"

int main(int argc, char** argv) {
  omp_set_num_threads(reprise::bench::Threads());
  benchmark::AddCustomContext("commit", REPRISE_COMMIT);
  benchmark::AddCustomContext("isa", std::string(reprise::IsaName(reprise::DetectIsa())));
  benchmark::AddCustomContext("threads", std::to_string(reprise::bench::Threads()));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
