// Chooses the kernel table once, when it is first asked for.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels.h"

namespace nt {

namespace baseline {
extern const KernelTable table;
}
#if defined(NT_ISA_LIST_X86)
namespace v3 {
extern const KernelTable table;
}
namespace v4 {
extern const KernelTable table;
}
#endif

namespace {

struct Candidate {
  const char* name;
  const KernelTable* table;
  bool runs_here;
};

KernelChoice choose() {
#if defined(NT_ISA_LIST_X86)
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("x86-64-v3"), v4 = __builtin_cpu_supports("x86-64-v4");
  const Candidate candidates[] = {{"v4", &v4::table, v4}, {"v3", &v3::table, v3}, {"baseline", &baseline::table, true}};
  const char* built = "baseline, v3, v4";
#else
  const Candidate candidates[] = {{"baseline", &baseline::table, true}};
  const char* built = "baseline";
#endif
  const char* wanted = std::getenv("NEUROTORCH_ISA");
  if (wanted != nullptr && *wanted != '\0') {
    for (const Candidate& c : candidates) {
      if (std::strcmp(c.name, wanted) != 0) continue;
      if (!c.runs_here)
        throw std::invalid_argument(std::string("NEUROTORCH_ISA: this processor does not run ") + wanted);
      return {c.table, "NEUROTORCH_ISA asked for it", built};
    }
    throw std::invalid_argument(std::string("NEUROTORCH_ISA: expected one of ") + built + ", got " + wanted);
  }
  for (const Candidate& c : candidates)
    if (c.runs_here) return {c.table, "the best that this processor runs", built};
  throw std::runtime_error("no kernel table");
}

}  // namespace

const KernelChoice& kernel_choice() {
  static const KernelChoice choice = choose();
  return choice;
}

}  // namespace nt
