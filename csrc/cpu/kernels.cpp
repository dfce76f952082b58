// Compiled once per instruction set (NT_ISA_NAME, flags in CMakeLists.txt): fills that instruction set's table.
#include "kernels.h"

#include "rows.h"

namespace nt {
inline namespace NT_ISA_NAME {

template <class M>
constexpr ModelInfo describe(const char* name) {
  static_assert(M::kStates <= kMaxStates && M::kConstants <= kMaxConstants);
  return {name,
          M::kStates,
          M::kConstants,
          M::kOutput,
          M::kPresynaptic,
          M::kSaved,
          M::kSavedForConstants,
          M::kLearnable,
          M::kSpiking,
          ActivatesInside<M>,
          ComputesPresynaptic<M>};
}

static constexpr ModelInfo kModels[] = {
#define NT_DESCRIBE(name, MODEL) describe<MODEL<float, FastSigmoid>>(#name),
    NT_MODELS(NT_DESCRIBE)
#undef NT_DESCRIBE
};

static const ModelInfo& model_info(int64_t model) { return kModels[model]; }

}  // namespace NT_ISA_NAME
}  // namespace nt

#include "layer.h"
#include "network.h"
#include "online.h"
#include "rls.h"

namespace nt {
inline namespace NT_ISA_NAME {

template <class T>
static void presynaptic(int64_t model, int64_t surrogate, int64_t n, const T* constants, const T* const* saved,
                        T* out) {
  rows_of<T>(model, surrogate).presynaptic(n, constants, saved, out);
}

template <class T>
static constexpr Kernels<T> kernels_of() {
  return {&layer_forward<T>, &layer_backward<T>, &network_forward<T>, &network_backward<T>, &online_run<T>,
          &presynaptic<T>,   &compress<T>,       &gather<T>,          &scatter_outer<T>,    &rls_update<T>};
}

#define NT_STRING_(x) #x
#define NT_STRING(x) NT_STRING_(x)

extern const KernelTable table;
const KernelTable table = [] {
  KernelTable t{};
  t.isa = NT_STRING(NT_ISA_NAME);
  static_assert(sizeof(kModels) <= sizeof(t.models));
  for (const ModelInfo& info : kModels) t.models[t.model_count++] = info;
  static_assert(kSurrogates <= sizeof(t.surrogates) / sizeof(t.surrogates[0]));
#define NT_NAME(name, SURROGATE)                         \
  t.is_compact[t.surrogate_count] = SURROGATE::kCompact; \
  t.surrogates[t.surrogate_count++] = #name;
  NT_SURROGATES(NT_NAME)
#undef NT_NAME
  t.single = kernels_of<float>();
  t.dual = kernels_of<double>();
  return t;
}();

}  // namespace NT_ISA_NAME
}  // namespace nt
