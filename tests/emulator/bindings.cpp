// Python module `emulator`: the CUDA drivers of csrc/cuda compiled for the CPU, on numpy arrays, and the self tests of
// the emulator. `order` is the order in which threads run: 0 ascending, 1 descending, 2 shuffled by `seed`.
#include <pybind11/pybind11.h>

#include "arrays.h"
#include "csrc/cuda/layer.cu"
#include "self_tests.h"

namespace emulator {

void choose_order(int order, unsigned seed) {
  cuemu::options().order = order;
  cuemu::options().seed = seed;
}

// Returns (out, final states, traces); `traced` has bit k set where state k is traced.
template <class T>
py::tuple layer_forward(const std::string& model, int64_t surrogate, const Array<T>& current,
                        const OptionalArray<T>& recurrent, const Array<T>& constants,
                        const std::vector<Array<T>>& initial, unsigned traced, int order, unsigned seed) {
  choose_order(order, seed);
  nt::LayerForward<T> a;
  a.model = model_number(model);
  const Model info = model_of(a.model);
  a.surrogate = surrogate;
  a.batch = current.shape(0);
  a.steps = current.shape(1);
  a.neurons = current.shape(2);
  a.current = read_rows(current);
  const Padded<T> weights(recurrent, false);
  a.recurrent = weights.data();
  a.recurrent_stride = weights.stride;
  const std::vector<T> constant_rows = copy_of(constants);
  a.constants = constant_rows.data();
  const auto states = copies_of(initial);
  const auto entries = static_cast<size_t>(a.batch * a.neurons);
  std::vector<std::vector<T>> final_state(states.size(), std::vector<T>(entries)), traces(states.size());
  for (size_t k = 0; k < states.size(); ++k) {
    a.initial[k] = states[k].data();
    a.final_state[k] = final_state[k].data();
    if (!(traced >> k & 1u)) continue;
    traces[k].resize(entries * static_cast<size_t>(a.steps));
    a.trace[k] = write_rows(traces[k], a.steps, a.neurons);
  }
  const bool out_is_trace = traced >> info.output & 1u;
  std::vector<T> out(out_is_trace ? 0 : entries * static_cast<size_t>(a.steps));
  if (!out_is_trace) a.out = write_rows(out, a.steps, a.neurons);
  if (!nt::cuda::layer_forward(a, nullptr)) throw py::value_error("layer_forward: no kernel for " + model);

  const std::vector<py::ssize_t> row = {a.batch, a.neurons}, sequence = {a.batch, a.steps, a.neurons};
  py::list final_list, trace_list;
  for (size_t k = 0; k < states.size(); ++k) {
    final_list.append(array_of(final_state[k], row));
    trace_list.append(traced >> k & 1u ? py::object(array_of(traces[k], sequence)) : py::none());
  }
  return py::make_tuple(array_of(out_is_trace ? traces[static_cast<size_t>(info.output)] : out, sequence), final_list,
                        trace_list);
}

// Returns (grad_current, gradients of the initial states, gradients of the constants [B, constants, N] or None).
template <class T>
py::tuple layer_backward(const std::string& model, int64_t surrogate, const OptionalArray<T>& recurrent,
                         const Array<T>& constants, const std::vector<Array<T>>& initial,
                         const std::vector<OptionalArray<T>>& traces, const OptionalArray<T>& grad_out,
                         const std::vector<OptionalArray<T>>& grad_traces, const std::vector<Array<T>>& grad_final,
                         bool want_constants, int order, unsigned seed) {
  choose_order(order, seed);
  const auto shape = [&](int axis) {
    for (const auto& t : traces)
      if (t) return static_cast<int64_t>(t->shape(axis));
    throw py::value_error("traces: at least one is needed");
  };
  nt::LayerBackward<T> a;
  a.model = model_number(model);
  a.surrogate = surrogate;
  a.batch = shape(0);
  a.steps = shape(1);
  a.neurons = shape(2);
  const Padded<T> transposed(recurrent, true);
  a.recurrent_transposed = transposed.data();
  a.recurrent_stride = transposed.stride;
  const std::vector<T> constant_rows = copy_of(constants);
  a.constants = constant_rows.data();
  const auto states = copies_of(initial);
  auto grad_state = copies_of(grad_final);
  for (size_t k = 0; k < states.size(); ++k) {
    a.initial[k] = states[k].data();
    a.trace[k] = read_rows(traces[k]);
    a.grad_trace[k] = read_rows(grad_traces[k]);
    a.grad_state[k] = grad_state[k].data();
  }
  a.grad_out = read_rows(grad_out);
  const int64_t rows = model_of(a.model).constants;
  std::vector<T> grad_current(static_cast<size_t>(a.batch * a.steps * a.neurons));
  std::vector<T> grad_constants(want_constants ? static_cast<size_t>(a.batch * rows * a.neurons) : 0);
  a.grad_current = write_rows(grad_current, a.steps, a.neurons);
  a.grad_constants = want_constants ? grad_constants.data() : nullptr;
  if (!nt::cuda::layer_backward(a, nullptr)) throw py::value_error("layer_backward: no kernel for " + model);

  py::list grad_list;
  for (const auto& g : grad_state) grad_list.append(array_of(g, {a.batch, a.neurons}));
  py::object constants_out = py::none();
  if (want_constants) constants_out = array_of(grad_constants, {a.batch, rows, a.neurons});
  return py::make_tuple(array_of(grad_current, {a.batch, a.steps, a.neurons}), grad_list, constants_out);
}

template <class T>
void bind_layer(py::module_& m) {
  using namespace pybind11::literals;
  m.def("layer_forward", &layer_forward<T>, "model"_a, "surrogate"_a, "current"_a, "recurrent"_a.none(true),
        "constants"_a, "initial"_a, py::kw_only(), "traced"_a = 0u, "order"_a = 0, "seed"_a = 1u);
  m.def("layer_backward", &layer_backward<T>, "model"_a, "surrogate"_a, "recurrent"_a.none(true), "constants"_a,
        "initial"_a, "traces"_a, "grad_out"_a.none(true), "grad_traces"_a, "grad_final"_a, py::kw_only(),
        "want_constants"_a = true, "order"_a = 0, "seed"_a = 1u);
}

}  // namespace emulator

PYBIND11_MODULE(emulator, m) {
  using namespace pybind11::literals;
  emulator::bind_layer<float>(m);
  emulator::bind_layer<double>(m);
  m.def("supported", [](const std::string& model) {
    return nt::cuda::supported(emulator::model_number(model), nt::Activation::identity);
  });
  m.def(
      "warp_operations",
      [](int order) {
        emulator::choose_order(order, 1);
        return emulator::warp_operations();
      },
      "order"_a = 0);
  m.def("fault", &emulator::fault, "name"_a);
}
