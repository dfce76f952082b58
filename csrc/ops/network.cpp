#include "network.h"

#include "layer.h"
#include "projection.h"
#include "team.h"

namespace nt {

namespace {

namespace st = torch::stable;

constexpr int64_t kProgram = 7;  // numbers per layer

struct LayerPlan {
  const ModelInfo* info;
  int64_t model, surrogate, activation, traces, weight, recurrent, input_activation;  // -1: none
  int64_t inputs, neurons;                                                            // of x
  int64_t first_state, first_constant;
  int64_t stage, stage_offset;  // where its output rows stand
  int64_t source;               // the stage it reads; -1: the network's input

  bool expands() const { return input_activation >= 0; }
  int64_t rows() const { return expands() ? 2 * inputs : inputs; }  // of the weights
};

struct Plan {
  std::vector<LayerPlan> layers;
  std::vector<int64_t> stage_width;
  int64_t batch, given, steps, states, constants;
};

void check_layer(const NetworkDescription& net, const LayerPlan& l, int64_t number, int64_t batch, const Tensor& like) {
  const std::string where = "layer " + std::to_string(number) + " (" + l.info->name + ")";
  const Tensor& weight = net.weights[static_cast<size_t>(l.weight)];
  require_like(where + " weight", weight, like);
  require_shape(where + " weight", weight, {l.rows(), -1});
  if (l.recurrent >= 0) {
    require(l.info->presynaptic >= 0, where + ": has no recurrent connections");
    require_shape(where + " recurrent_weight", net.weights[static_cast<size_t>(l.recurrent)], {l.neurons, l.neurons});
  }
  for (int64_t k = 0; k < l.info->states; ++k) {
    const Tensor& s = net.state[static_cast<size_t>(l.first_state + k)];
    require_shape(where + " state", s, {batch, l.neurons});
    require_like(where + " state", s, like);
  }
  for (int64_t k = 0; k < l.info->constants; ++k) {
    const Tensor& c = net.constants[static_cast<size_t>(l.first_constant + k)];
    require(c.dim() == 0 || (c.dim() == 1 && c.size(0) == l.neurons),
            where + " constants: expected shape [] or [N], got " + shape_of(c));
    require_like(where + " constants", c, like);
  }
  require(l.activation == 0 || !l.info->spiking, where + ": takes no activation");
}

Plan make_plan(const NetworkDescription& net) {
  Plan plan{};
  require(!net.program.empty() && net.program.size() % kProgram == 0, "program: expected 7 numbers per layer");
  const auto layers = static_cast<int64_t>(net.program.size()) / kProgram;
  const bool single = layers == 1;
  require(net.fed >= 1 && net.outputs >= 1 && net.fed + net.outputs <= layers + (single ? 1 : 0),
          "program: expected at least one layer that reads the input and one output layer");
  require(static_cast<int64_t>(net.inputs.size()) == net.fed, "inputs: expected one tensor per input layer");
  require(static_cast<int64_t>(net.feedback.size()) == net.fed, "feedback: expected one entry per input layer");
  require(static_cast<int64_t>(net.teacher.size()) == net.fed, "teacher: expected one entry per input layer");
  const Tensor& like = net.inputs[0];
  require(like.is_cpu(),
          "device: the closed loop runs on the CPU only so far; move the model and its inputs to the CPU");
  require(like.dim() == 3 && like.size(0) > 0 && like.size(1) > 0,
          "inputs: expected shape [B, T, F], got " + shape_of(like));
  plan.batch = like.size(0), plan.given = like.size(1), plan.steps = net.steps;
  require(plan.steps >= plan.given, "steps: expected at least the number of input steps");
  for (const Tensor& x : net.inputs) {
    require_shape("inputs", x, {plan.batch, plan.given, -1});
    require_like("inputs", x, like);
  }
  const int64_t first_output = layers - net.outputs;
  for (int64_t l = 0; l < layers; ++l) {
    const int64_t* p = net.program.data() + l * kProgram;
    require(p[0] >= 0 && p[0] < kernels().model_count, "program: unknown model " + std::to_string(p[0]));
    LayerPlan layer{};
    layer.info = &kernels().models[p[0]];
    layer.model = p[0], layer.surrogate = p[1], layer.activation = p[2], layer.traces = p[3], layer.weight = p[4],
    layer.recurrent = p[5], layer.input_activation = p[6];
    require_surrogate(layer.surrogate);
    require(
        layer.activation >= 0 && layer.activation <= 3 && layer.input_activation >= -1 && layer.input_activation <= 3,
        "program: unknown activation");
    if (layer.info->activates_inside) layer.surrogate = layer.activation, layer.activation = 0;
    require(layer.weight >= 0 && layer.weight < static_cast<int64_t>(net.weights.size()) &&
                layer.recurrent < static_cast<int64_t>(net.weights.size()),
            "program: weight index out of range");
    layer.first_state = plan.states, layer.first_constant = plan.constants;
    plan.states += layer.info->states, plan.constants += layer.info->constants;
    layer.neurons = net.weights[static_cast<size_t>(layer.weight)].size(-1);
    if (l < net.fed) {
      layer.source = -1;
      layer.inputs = net.inputs[static_cast<size_t>(l)].size(2);
      if (l == 0) plan.stage_width.push_back(0);
      layer.stage = 0, layer.stage_offset = plan.stage_width[0];
      plan.stage_width[0] += layer.neurons;
    } else {
      const int64_t before = l >= first_output ? first_output - 1 : l - 1;
      layer.source = before < net.fed ? 0 : plan.layers[static_cast<size_t>(before)].stage;
      layer.inputs = plan.stage_width[static_cast<size_t>(layer.source)];
      layer.stage = static_cast<int64_t>(plan.stage_width.size());
      plan.stage_width.push_back(layer.neurons);
    }
    require(plan.states <= static_cast<int64_t>(net.state.size()) &&
                plan.constants <= static_cast<int64_t>(net.constants.size()),
            "state, constants: too few tensors for the layers of the program");
    check_layer(net, layer, l, plan.batch, like);
    plan.layers.push_back(layer);
  }
  require(plan.states == static_cast<int64_t>(net.state.size()) &&
              plan.constants == static_cast<int64_t>(net.constants.size()),
          "state, constants: too many tensors for the layers of the program");
  for (int64_t k = 0; k < net.fed; ++k) {
    const int64_t source = net.feedback[static_cast<size_t>(k)], width = plan.layers[static_cast<size_t>(k)].inputs;
    require(source >= -1 && source < net.outputs,
            "feedback: expected an output layer or -1, got " + std::to_string(source));
    require(source < 0 || plan.layers[static_cast<size_t>(first_output + source)].neurons == width,
            "feedback: the output fed back into input " + std::to_string(k) + " has another size than that input");
    const OptionalTensor& teacher = net.teacher[static_cast<size_t>(k)];
    if (teacher) {
      require_shape("teacher", *teacher, {plan.batch, plan.steps, width});
      require_like("teacher", *teacher, like);
    }
  }
  return plan;
}

template <class T>
Rows<T> part_rows(const Tensor& t, int64_t offset) {
  Rows<T> rows = write_rows<T>(t);
  rows.data += offset;
  return rows;
}

// Everything the driver points to, alive for one run.
template <class T>
struct Prepared {
  std::vector<NetworkLayer<T>> layers;
  std::vector<Rows<const T>> teacher;
  TensorList keep;  // padded matrices, expanded constants, contiguous states
  TensorList initial, constants;
  OptionalTensorList expanded;  // per layer [f(x), x], where it reads its input so
  Network<T> network;

  Prepared(const NetworkDescription& net, const Plan& plan, const TensorList& stages, const TensorList& read) {
    for (const Tensor& s : net.state) initial.push_back(st::contiguous(s));
    for (const LayerPlan& p : plan.layers) {
      NetworkLayer<T> layer;
      layer.model = p.model, layer.surrogate = p.surrogate, layer.activation = static_cast<Activation>(p.activation);
      layer.inputs = p.rows(), layer.neurons = p.neurons;
      const auto first = net.constants.begin() + p.first_constant;
      constants.push_back(expand_constants(TensorList(first, first + p.info->constants), p.neurons, net.inputs[0]));
      layer.constants = constants.back().template const_data_ptr<T>();
      for (int64_t k = 0; k < p.info->states; ++k)
        layer.initial[k] = initial[static_cast<size_t>(p.first_state + k)].template const_data_ptr<T>();
      const auto number = layers.size();
      layer.input = p.source < 0 ? write_rows<T>(read[number]) : write_rows<T>(stages[static_cast<size_t>(p.source)]);
      expanded.push_back(std::nullopt);
      if (p.expands()) {
        expanded.back() = empty_of(net.inputs[0], {plan.batch, plan.steps, p.rows()});
        layer.raw = layer.input, layer.input = write_rows<T>(*expanded.back());
        layer.input_activation = static_cast<Activation>(p.input_activation);
      }
      layer.out = part_rows<T>(stages[static_cast<size_t>(p.stage)], p.stage_offset);
      if (p.activation == 0) layer.trace[p.info->output] = layer.out;
      layers.push_back(layer);
    }
    for (const OptionalTensor& t : net.teacher) {
      if (t) keep.push_back(adjacent(*t));
      teacher.push_back(t ? read_rows<T>(keep.back()) : Rows<const T>{});
    }
    network.batch = plan.batch, network.steps = plan.steps, network.given = plan.given;
    network.layers = static_cast<int64_t>(layers.size()), network.fed_layers = net.fed,
    network.output_layers = net.outputs;
    network.layer = layers.data(), network.feedback = net.feedback.data(), network.teacher = teacher.data();
    network.teacher_weight = static_cast<T>(net.teacher_weight);
  }

  const T* matrix(const Tensor& weight, bool transpose, int64_t& stride) {
    keep.push_back(pad_columns<T>(transpose ? st::transpose(weight, 0, 1) : weight));
    stride = keep.back().stride(0);
    return keep.back().template const_data_ptr<T>();
  }
};

}  // namespace

std::tuple<TensorList, TensorList, TensorList, TensorList> network_forward(const NetworkDescription& net) {
  const Plan plan = make_plan(net);
  const Tensor& like = net.inputs[0];
  TensorList stages, finals, traces, read;
  for (const int64_t width : plan.stage_width) stages.push_back(empty_of(like, {plan.batch, plan.steps, width}));
  for (const Tensor& x : net.inputs) {
    read.push_back(empty_of(like, {plan.batch, plan.steps, x.size(2)}));
    Tensor target = steps_of(read.back(), 0, plan.given);
    st::copy_(target, x);
  }
  dispatch(like, "inputs", [&](auto tag) {
    using T = decltype(tag);
    Prepared<T> run(net, plan, stages, read);
    for (size_t l = 0; l < plan.layers.size(); ++l) {
      const LayerPlan& p = plan.layers[l];
      NetworkLayer<T>& layer = run.layers[l];
      layer.weight = run.matrix(net.weights[static_cast<size_t>(p.weight)], false, layer.weight_stride);
      if (p.recurrent >= 0)
        layer.recurrent = run.matrix(net.weights[static_cast<size_t>(p.recurrent)], false, layer.recurrent_stride);
      for (int64_t k = 0; k < p.info->states; ++k) {
        finals.push_back(empty_of(like, {plan.batch, p.neurons}));
        layer.final_state[k] = finals.back().mutable_data_ptr<T>();
        if ((p.traces >> k & 1) == 0) continue;
        require(p.activation != 0 || k != p.info->output, "traces: the output state's trace is the output itself");
        traces.push_back(empty_of(like, {plan.batch, plan.steps, p.neurons}));
        layer.trace[k] = write_rows<T>(traces.back());
      }
    }
    const Kernels<T>& kernel = of<T>(kernels());
    for_samples(plan.batch, is_chain(run.network), [&](int64_t begin, int64_t end, const Team& team) {
      kernel.network_forward(run.network, begin, end, team);
    });
  });
  return {stages, finals, traces, read};
}

TensorList network_backward(const NetworkDescription& net, const OptionalTensorList& grad_out,
                            const OptionalTensorList& grad_state_, const OptionalTensorList& grad_traces,
                            const TensorList& stages, const OptionalTensorList& traces, const TensorList& read,
                            const std::vector<int64_t>& wanted) {
  const Plan plan = make_plan(net);
  const Tensor& like = net.inputs[0];
  const auto states = static_cast<size_t>(plan.states);
  require(static_cast<int64_t>(grad_out.size()) == net.outputs && grad_state_.size() == states &&
              grad_traces.size() == states && traces.size() == states,
          "grad_out, grad_state, grad_traces, traces: expected one entry per output layer or state");
  const size_t first_weight = net.inputs.size(), first_state = first_weight + net.weights.size();
  const size_t first_constant = first_state + states, total = first_constant + static_cast<size_t>(plan.constants);
  require(wanted.size() == total,
          "wanted: expected " + std::to_string(total) + " entries, got " + std::to_string(wanted.size()));
  std::vector<OptionalTensor> grads(total);
  TensorList grad_state(states, nothing_like(like)), currents, kept;
  OptionalTensorList grad_constants(plan.layers.size());
  const auto add = [&](size_t at, const Tensor& part) {
    grads[at] = grads[at] ? st::subtract(*grads[at], part, -1.0) : part;
  };

  dispatch(like, "inputs", [&](auto tag) {
    using T = decltype(tag);
    Prepared<T> run(net, plan, stages, read);
    for (size_t l = 0; l < plan.layers.size(); ++l) {
      const LayerPlan& p = plan.layers[l];
      NetworkLayer<T>& layer = run.layers[l];
      layer.weight_transposed = run.matrix(net.weights[static_cast<size_t>(p.weight)], true, layer.transposed_stride);
      if (p.recurrent >= 0)
        layer.recurrent_transposed =
            run.matrix(net.weights[static_cast<size_t>(p.recurrent)], true, layer.recurrent_stride);
      currents.push_back(empty_of(like, {plan.batch, plan.steps, p.neurons}));
      layer.grad_current = write_rows<T>(currents.back());
      if (p.source < 0 && wanted[l] != 0 && p.expands()) {
        grads[l] = empty_of(like, {plan.batch, plan.given, p.inputs});
        layer.grad_raw = write_rows<T>(*grads[l]);
      }
      for (int64_t k = 0; k < p.info->states; ++k) {
        const auto s = static_cast<size_t>(p.first_state + k);
        grad_state[s] =
            grad_state_[s] ? st::clone(st::contiguous(*grad_state_[s])) : zeros_of(like, {plan.batch, p.neurons});
        layer.grad_state[k] = grad_state[s].template mutable_data_ptr<T>();
        if (traces[s]) layer.trace[k] = write_rows<T>(*traces[s]);
        if (grad_traces[s]) {
          kept.push_back(adjacent(*grad_traces[s]));
          layer.grad_trace[k] = read_rows<T>(kept.back());
        }
      }
      bool any = false;
      for (int64_t c = 0; c < p.info->constants; ++c)
        any = any || wanted[first_constant + static_cast<size_t>(p.first_constant + c)] != 0;
      if (any) {
        grad_constants[l] = zeros_of(like, {plan.batch, p.info->constants, p.neurons});
        layer.grad_constants = grad_constants[l]->template mutable_data_ptr<T>();
      }
      const int64_t output = static_cast<int64_t>(l) - (static_cast<int64_t>(plan.layers.size()) - net.outputs);
      if (output >= 0 && grad_out[static_cast<size_t>(output)]) {
        kept.push_back(adjacent(*grad_out[static_cast<size_t>(output)]));
        layer.grad_out = read_rows<T>(kept.back());
      }
    }
    const Kernels<T>& kernel = of<T>(kernels());
    for_samples(plan.batch, is_chain(run.network), [&](int64_t begin, int64_t end, const Team& team) {
      kernel.network_backward(run.network, begin, end, team);
    });

    for (size_t l = 0; l < plan.layers.size(); ++l) {
      const LayerPlan& p = plan.layers[l];
      const auto weight = first_weight + static_cast<size_t>(p.weight);
      if (wanted[weight] != 0) {
        const Tensor& seen = p.source < 0 ? read[l] : stages[static_cast<size_t>(p.source)];
        add(weight, projection_gradient(run.expanded[l] ? *run.expanded[l] : seen, currents[l]));
      }
      if (p.source < 0 && wanted[l] != 0 && !p.expands()) {
        Tensor given = steps_of(currents[l], 0, plan.given);
        grads[l] = st::matmul(given, st::transpose(net.weights[static_cast<size_t>(p.weight)], 0, 1));
      }
      if (p.recurrent >= 0 && wanted[first_weight + static_cast<size_t>(p.recurrent)] != 0) {
        const auto s = traces.begin() + p.first_state;
        OptionalTensorList known(s, s + p.info->states);
        if (p.activation == 0) {
          Tensor rows = stages[static_cast<size_t>(p.stage)];
          known[static_cast<size_t>(p.info->output)] = st::narrow(rows, 2, p.stage_offset, p.neurons);
        }
        const auto first = run.initial.begin() + p.first_state;
        add(first_weight + static_cast<size_t>(p.recurrent),
            recurrent_gradient(*p.info, p.model, p.surrogate, run.constants[l],
                               TensorList(first, first + p.info->states), known, currents[l]));
      }
      for (int64_t k = 0; k < p.info->states; ++k) {
        const auto s = static_cast<size_t>(p.first_state + k);
        if (wanted[first_state + s] != 0) grads[first_state + s] = grad_state[s];
      }
      for (int64_t c = 0; c < p.info->constants; ++c) {
        const auto at = static_cast<size_t>(p.first_constant + c);
        if (wanted[first_constant + at] != 0)
          grads[first_constant + at] = reduce_constant(*grad_constants[l], c, net.constants[at]);
      }
    }
  });
  TensorList out;
  for (const OptionalTensor& g : grads) out.push_back(g ? *g : nothing_like(like));
  return out;
}

}  // namespace nt
