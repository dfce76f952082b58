// Every operator of the library. No argument is called `kernel` (inductor passes keywords on to a function that has
// one) and none is a str (converting one leaks it).
#include <torch/csrc/stable/library.h>

#include "models/models.h"
#include "ops/info.h"
#include "ops/layer.h"
#include "ops/memory.h"
#include "ops/network.h"
#include "ops/online.h"
#include "ops/rls.h"

namespace nt {
namespace {

enum ModelNumber : int64_t {
#define NT_NUMBER(name, MODEL) k_##name,
  NT_MODELS(NT_NUMBER)
#undef NT_NUMBER
};

std::vector<int64_t> model_info(int64_t model) {
  require(model >= 0 && model < kernels().model_count, "model: no such number");
  const ModelInfo& info = kernels().models[model];
  return {info.states,
          info.constants,
          info.output,
          info.presynaptic,
          info.saved,
          info.saved_for_constants,
          info.learnable,
          info.spiking,
          info.activates_inside,
          info.computes_presynaptic};
}

template <int64_t M>
std::tuple<Tensor, TensorList, TensorList, TensorList> forward(const Tensor& x, const OptionalTensor& weight,
                                                               const OptionalTensor& recurrent_weight,
                                                               const TensorList& state, const TensorList& constants,
                                                               int64_t surrogate, int64_t activation, int64_t traces,
                                                               int64_t recompute_every) {
  return layer_forward(M, x, weight, recurrent_weight, state, constants, surrogate, activation, traces,
                       recompute_every);
}

template <int64_t M>
TensorList backward(const OptionalTensor& grad_out, const OptionalTensorList& grad_state,
                    const OptionalTensorList& grad_traces, const Tensor& x, const OptionalTensor& weight,
                    const OptionalTensor& recurrent_weight, const TensorList& state, const TensorList& constants,
                    const OptionalTensor& out, const OptionalTensorList& traces, const TensorList& checkpoints,
                    int64_t surrogate, int64_t activation, int64_t recompute_every, int64_t wanted) {
  return layer_backward(M, grad_out, grad_state, grad_traces, x, weight, recurrent_weight, state, constants, out,
                        traces, checkpoints, surrogate, activation, recompute_every, wanted);
}

std::tuple<TensorList, TensorList, TensorList, TensorList> forward_network(
    const TensorList& inputs, const TensorList& weights, const TensorList& state, const TensorList& constants,
    const OptionalTensorList& teacher, double teacher_weight, const std::vector<int64_t>& program,
    const std::vector<int64_t>& feedback, int64_t fed, int64_t outputs, int64_t steps) {
  return network_forward(
      {inputs, weights, state, constants, teacher, teacher_weight, program, feedback, fed, outputs, steps});
}

TensorList backward_network(const OptionalTensorList& grad_out, const OptionalTensorList& grad_state,
                            const OptionalTensorList& grad_traces, const TensorList& inputs, const TensorList& weights,
                            const TensorList& state, const TensorList& constants, const OptionalTensorList& teacher,
                            const TensorList& stages, const OptionalTensorList& traces, const TensorList& read,
                            double teacher_weight, const std::vector<int64_t>& program,
                            const std::vector<int64_t>& feedback, int64_t fed, int64_t outputs, int64_t steps,
                            const std::vector<int64_t>& wanted) {
  return network_backward(
      {inputs, weights, state, constants, teacher, teacher_weight, program, feedback, fed, outputs, steps}, grad_out,
      grad_state, grad_traces, stages, traces, read, wanted);
}

}  // namespace
}  // namespace nt

#define NT_FORWARD_SCHEMA                                                                                            \
  "_forward(Tensor x, Tensor? weight, Tensor? recurrent_weight, Tensor[] state, Tensor[] constants, int surrogate, " \
  "int activation, int traces, int recompute_every) -> (Tensor, Tensor[], Tensor[], Tensor[])"
#define NT_BACKWARD_SCHEMA                                                                                 \
  "_backward(Tensor? grad_out, Tensor?[] grad_state, Tensor?[] grad_traces, Tensor x, Tensor? weight, "    \
  "Tensor? recurrent_weight, Tensor[] state, Tensor[] constants, Tensor? out, Tensor?[] traces, Tensor[] " \
  "checkpoints, "                                                                                          \
  "int surrogate, int activation, int recompute_every, int wanted) -> Tensor[]"

STABLE_TORCH_LIBRARY(neurotorch, m) {
  m.def("build_info() -> str[]");
  // states, constants, output, presynaptic, saved, saved_for_constants, learnable, spiking, activates_inside,
  // computes_presynaptic (arguments.h).
  m.def("model_info(int model) -> int[]");
  // One neuron layer over a whole sequence and its adjoint (ops/layer.h).
#define NT_DEFINE(name, MODEL)    \
  m.def(#name NT_FORWARD_SCHEMA); \
  m.def(#name NT_BACKWARD_SCHEMA);
  NT_MODELS(NT_DEFINE)
#undef NT_DEFINE
  // Hands unused buffers back to the system (ops/memory.h).
  m.def("release_memory() -> int");
  // A whole network in closed loop and its adjoint (ops/network.h).
  m.def(
      "network_forward(Tensor[] inputs, Tensor[] weights, Tensor[] state, Tensor[] constants, Tensor?[] teacher, "
      "float teacher_weight, int[] program, int[] feedback, int fed, int outputs, SymInt steps) "
      "-> (Tensor[], Tensor[], Tensor[], Tensor[])");
  m.def(
      "network_backward(Tensor?[] grad_out, Tensor?[] grad_state, Tensor?[] grad_traces, Tensor[] inputs, Tensor[] "
      "weights, "
      "Tensor[] state, Tensor[] constants, Tensor?[] teacher, Tensor[] stages, Tensor?[] traces, Tensor[] read, "
      "float teacher_weight, int[] program, int[] feedback, int fed, int outputs, SymInt steps, int[] wanted) -> "
      "Tensor[]");
  // One step of recursive least squares, in place (ops/rls.h).
  m.def(
      "rls_update(Tensor(a!) inverse, Tensor(b!) weight, Tensor regressor, Tensor error, float gain, float kappa, "
      "float keep, float take, float rate) -> Tensor");
  // A network that learns while it runs, in place (ops/online.h).
  m.def("online_run(Tensor(a!)[] pool, int[] program, float[] numbers) -> int");
}

#define NT_IMPLEMENT(name, MODEL)                                  \
  m.impl(#name "_forward", TORCH_BOX(&nt::forward<nt::k_##name>)); \
  m.impl(#name "_backward", TORCH_BOX(&nt::backward<nt::k_##name>));

STABLE_TORCH_LIBRARY_IMPL(neurotorch, CPU, m) {
  NT_MODELS(NT_IMPLEMENT)
  m.impl("network_forward", TORCH_BOX(&nt::forward_network));
  m.impl("network_backward", TORCH_BOX(&nt::backward_network));
  m.impl("rls_update", TORCH_BOX(&nt::rls_update));
  m.impl("online_run", TORCH_BOX(&nt::online_run));
}

#if defined(NT_WITH_CUDA)
STABLE_TORCH_LIBRARY_IMPL(neurotorch, CUDA, m) {
  NT_MODELS(NT_IMPLEMENT)
  m.impl("network_forward", TORCH_BOX(&nt::forward_network));
  m.impl("network_backward", TORCH_BOX(&nt::backward_network));
}
#endif

STABLE_TORCH_LIBRARY_IMPL(neurotorch, CompositeExplicitAutograd, m) {
  m.impl("build_info", TORCH_BOX(&nt::build_info));
  m.impl("model_info", TORCH_BOX(&nt::model_info));
  m.impl("release_memory", TORCH_BOX(&nt::release_memory));
}
