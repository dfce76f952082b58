#include "info.h"

#include "../cpu/kernels.h"

namespace nt {

std::vector<std::string> build_info() {
  const KernelChoice& choice = kernel_choice();
  std::string models, surrogates;
  for (int64_t m = 0; m < choice.table->model_count; ++m)
    models += (m ? ", " : "") + std::string(choice.table->models[m].name);
  for (int64_t s = 0; s < choice.table->surrogate_count; ++s)
    surrogates += (s ? ", " : "") + std::string(choice.table->surrogates[s]);
#if defined(NT_WITH_CUDA)
  const char* cuda = "built";
#else
  const char* cuda = "not built";
#endif
  return {std::string("isa=") + choice.table->isa,
          std::string("isa_reason=") + choice.reason,
          std::string("isa_built=") + choice.built,
          std::string("cuda=") + cuda,
          "models=" + models,
          "surrogates=" + surrogates,
          std::string("compiler=") + __VERSION__};
}

}  // namespace nt
