// The hot CPU kernels on fixed inputs, for counting their instructions under callgrind (benchmarks/instructions.py).
//
//   counted list            compiler, instruction set and the names of the cases
//   counted CASE [SCALE]    runs one, with SCALE times as many steps; prints how much work that is
//
// Callgrind counts `counted_region` only: all else is set-up. Answers are JSON objects.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "counted_layers.h"
#include "counted_networks.h"

extern "C" [[gnu::noinline]] void counted_region(const counted::Work& work) {
  work.run();
  __asm__ __volatile__("" ::: "memory");  // so that the call above is not the last thing, which would become a jump
}

namespace {

using counted::Work;

struct Case {
  const char* name;
  Work (*make)(int64_t scale);
};

// About 5 % of the neurons fire. Sizes of which some are no multiple of a vector, as users have them.
const Case kCases[] = {
    {"lif_forward", [](int64_t s) { return counted::lif<float>({8, 100 * s, 700, false}).forward(); }},
    {"lif_backward", [](int64_t s) { return counted::lif<float>({8, 100 * s, 700, false}).backward(); }},
    {"lif_recurrent_forward", [](int64_t s) { return counted::lif<float>({8, 50 * s, 256, true}).forward(); }},
    {"lif_recurrent_backward", [](int64_t s) { return counted::lif<float>({8, 50 * s, 256, true}).backward(); }},
    {"lif_recurrent_forward_one_sample",
     [](int64_t s) { return counted::lif<float>({1, 200 * s, 256, true}).forward(); }},
    {"lif_recurrent_backward_one_sample",
     [](int64_t s) { return counted::lif<float>({1, 200 * s, 256, true}).backward(); }},
    {"lif_recurrent_forward_float64", [](int64_t s) { return counted::lif<double>({8, 20 * s, 250, true}).forward(); }},
    {"lif_recurrent_backward_float64",
     [](int64_t s) { return counted::lif<double>({8, 20 * s, 250, true}).backward(); }},
    {"spy_lif_recurrent_forward", [](int64_t s) { return counted::spy_lif<float>({8, 50 * s, 250, true}).forward(); }},
    {"spy_lif_recurrent_backward",
     [](int64_t s) { return counted::spy_lif<float>({8, 50 * s, 250, true}).backward(); }},
    {"network_forward", [](int64_t s) { return counted::ClosedLoop<float>(150, 2, 50 * s).forward(); }},
    {"network_backward", [](int64_t s) { return counted::ClosedLoop<float>(150, 2, 50 * s).backward(); }},
    {"compress", counted::compress<float>},
    {"gather", counted::gather<float>},
    {"scatter_outer", counted::scatter_outer<float>},
    {"eprop_every_step", [](int64_t s) { return counted::Learning<float>(150, 20 * s, true).work(); }},
    {"eprop_once_per_sequence", [](int64_t s) { return counted::Learning<float>(150, 20 * s, false).work(); }},
    {"rls_update", counted::rls_update<float>},
};

#if defined(__clang__)
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

void list() {
  std::printf("{\"compiler\": \"%s\", \"isa\": \"%s\", \"cases\": [", kCompiler, nt::v3::table.isa);
  const char* comma = "";
  for (const Case& c : kCases) std::printf("%s\"%s\"", comma, c.name), comma = ", ";
  std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string task = argc > 1 ? argv[1] : "";
  const int64_t scale = argc > 2 ? std::atoll(argv[2]) : 1;
  if (task == "list") {
    list();
    return 0;
  }
  for (const Case& c : kCases) {
    if (task != c.name || scale < 1) continue;
    if (!__builtin_cpu_supports("x86-64-v3")) {
      std::fprintf(stderr, "this processor does not run x86-64-v3\n");
      return 3;
    }
    const Work work = c.make(scale);
    counted_region(work);
    std::printf("{\"units\": %lld, \"unit\": \"%s\", \"active\": %.3f}\n", static_cast<long long>(work.units),
                work.unit, work.active());
    return 0;
  }
  std::fprintf(stderr, "expected list, or one of the cases that it names and a scale from 1 on; got '%s'\n",
               task.c_str());
  return 2;
}
