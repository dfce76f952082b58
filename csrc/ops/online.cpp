#include "online.h"

#include <limits>

#include "team.h"

namespace nt {

namespace {

// Takes the description of a run apart, in the order in which it was written.
template <class T>
class OnlineReader {
 public:
  OnlineReader(const TensorList& pool, const std::vector<int64_t>& program, const std::vector<double>& numbers)
      : pool_(pool), program_(program), numbers_(numbers) {
    header();
    for (int64_t l = 0; l < run.network.layers; ++l) take_layer(l);
    for (int64_t s = 0; s < run.signals; ++s) take_signal();
    for (int64_t k = 0; k < run.traces; ++k) take_trace();
    for (int64_t k = 0; k < run.solvers; ++k) take_solver();
    require(at_ == program_.size() && number_at_ == numbers_.size(), "program: has entries that nobody reads");
    run.network.layer = layers_.data(), run.network.feedback = feedback_.data(), run.network.teacher = teacher_.data();
    run.layer = own_.data(), run.signal = signals_.data(), run.trace = traces_.data();
    run.solver = solvers_.data();
    shared_signals_.resize(static_cast<size_t>(run.signals * batch_ * widest()));
    shared_squares_.resize(static_cast<size_t>(rows_of_traces_));
    run.shared_signals = shared_signals_.data(), run.shared_squares = shared_squares_.data();
    run.found = &found;
  }

  // Whether a team is faster than one thread: its members meet some times in every step.
  bool is_shareable() const {
    constexpr int64_t kEntries = 1 << 16;
    return entries_ >= kEntries && is_chain(run.network);
  }

  Online<T> run;
  int64_t found = 0;

 private:
  int64_t next() {
    require(at_ < program_.size(), "program: too short");
    return program_[at_++];
  }
  int64_t next(int64_t below, const char* what) {
    const int64_t value = next();
    require(value >= 0 && value < below, std::string("program: no such ") + what);
    return value;
  }
  double number() {
    require(number_at_ < numbers_.size(), "numbers: too short");
    return numbers_[number_at_++];
  }

  const Tensor* tensor(int64_t least) {
    const int64_t index = next();
    if (index < 0) return nullptr;
    require(index < static_cast<int64_t>(pool_.size()), "program: no such tensor");
    const Tensor& t = pool_[static_cast<size_t>(index)];
    require_like("pool", t, pool_[0]);
    require(t.is_contiguous() && t.numel() >= least,
            "pool: expected " + std::to_string(least) + " adjacent entries, got shape " + shape_of(t));
    return &t;
  }
  T* data(int64_t least) {
    const Tensor* t = tensor(least);
    return t == nullptr ? nullptr : t->template mutable_data_ptr<T>();
  }
  T* needed(int64_t least, const char* what) {
    T* found_data = data(least);
    require(found_data != nullptr, std::string("program: expected ") + what);
    return found_data;
  }
  // Rows [B, T, width] of a tensor; null where there is none.
  Rows<T> rows(int64_t width, int64_t steps) {
    T* first = data(batch_ * steps * width);
    return {first, steps * width, width};
  }

  void header() {
    Network<T>& net = run.network;
    net.layers = next(1024, "number of layers"), net.fed_layers = next(net.layers + 1, "number of fed layers");
    net.output_layers = next(net.layers + 1, "number of outputs");
    require(net.fed_layers > 0 && net.output_layers > 0 && net.output_layers <= kMaxOutputs,
            "program: expected 1 to " + std::to_string(kMaxOutputs) + " output layers");
    batch_ = net.batch = next(), net.given = next(), net.steps = next();
    require(batch_ > 0 && net.given > 0 && net.steps >= net.given, "program: expected samples and steps");
    run.begin = next(net.steps, "step"), run.end = next(net.steps + 1, "step");
    run.forward = next() != 0, run.learn = next() != 0;
    run.every = next(), run.first_target = next(), run.mean_error = next() != 0, run.watch = next() != 0;
    run.signals = next(1 << 20, "number of signals"), run.traces = next(1 << 20, "number of traces");
    run.solvers = next(1 << 20, "number of solvers");
    run.keep = next(net.steps + 1, "number of kept steps");
    require(run.every > 0, "program: expected an update after a number of steps");
    net.teacher_weight = static_cast<T>(number());
    run.signal_clip = number(), run.trace_clip = number(), run.gradient_clip = number();
    run.nan = static_cast<T>(number()), run.positive = static_cast<T>(number()),
    run.negative = static_cast<T>(number());
    for (OnlineOptimizer& o : run.optimizer) {
      o.rule = static_cast<Rule>(next(3, "optimiser")), o.maximize = next() != 0;
      o.rate = number(), o.weight_decay = number(), o.beta1 = number(), o.beta2 = number(), o.epsilon = number();
    }
  }

  void take_layer(int64_t l) {
    NetworkLayer<T> layer;
    OnlineLayer<T> own;
    const Network<T>& net = run.network;
    layer.model = next(kernels().model_count, "model");
    layer.surrogate = next(kernels().surrogate_count, "surrogate");
    layer.activation = static_cast<Activation>(next(4, "activation"));
    const int64_t input_activation = next();
    const ModelInfo& info = kernels().models[layer.model];
    if (info.activates_inside)
      layer.surrogate = static_cast<int64_t>(layer.activation), layer.activation = Activation::identity;
    const int64_t width = next();
    layer.inputs = input_activation < 0 ? width : 2 * width, layer.neurons = next();
    require(width > 0 && layer.neurons > 0 && input_activation < 4, "program: expected sizes and an activation");
    layer.weight_stride = layer.recurrent_stride = padded<T>(layer.neurons);
    layer.weight = needed(layer.inputs * layer.weight_stride, "weights");
    layer.recurrent = data(layer.neurons * layer.recurrent_stride);
    require(layer.recurrent == nullptr || info.presynaptic >= 0, "program: the model has no recurrent connections");
    layer.constants = needed(info.constants * layer.neurons, "constants");
    for (int k = 0; k < info.states; ++k) own.state[k] = needed(2 * batch_ * layer.neurons, "states");
    for (int k = 0; k < info.states; ++k) own.history[k] = data(batch_ * run.keep * layer.neurons);
    const bool fed = l < net.fed_layers, output = l >= net.layers - net.output_layers;
    const Rows<T> x = rows(width, net.given);
    own.x = {x.data, x.batch, x.time};
    require(!fed || own.x, "program: expected an input");
    const Rows<T> teacher = rows(width, net.steps);
    if (fed) teacher_.push_back({teacher.data, teacher.batch, teacher.time});
    const int64_t source = next();
    require(source >= -1 && source < net.output_layers, "program: no such output to feed back");
    if (fed) feedback_.push_back(source);
    layer.input = one_step(width);
    require(static_cast<bool>(layer.input), "program: expected an input row");
    if (input_activation >= 0) {
      layer.raw = layer.input, layer.input_activation = static_cast<Activation>(input_activation);
      layer.input = one_step(layer.inputs);
      require(static_cast<bool>(layer.input), "program: expected an expanded input row");
    }
    layer.out = one_step(layer.neurons);
    own.out = rows(layer.neurons, net.steps);
    if (output) layer.out = own.out;
    require(static_cast<bool>(layer.out), "program: expected rows of the output");
    own.first_target = next();
    const int64_t targets = net.steps - own.first_target;
    require(targets >= 0, "program: targets start within the run");
    const Rows<T> target = rows(layer.neurons, targets);
    own.target = {target.data, target.batch, target.time};
    require(!output || !run.learn || own.target, "program: expected a target");
    own.slope = data(batch_ * layer.neurons);
    own.instantaneous = next() != 0, own.memory = next() != 0, own.constants = next() != 0;
    layers_.push_back(layer), own_.push_back(own);
  }

  // A buffer [B, width'] whose rows hold this layer's entries from an offset on.
  Rows<T> one_step(int64_t width) {
    const Tensor* t = tensor(batch_ * width);
    const int64_t offset = next();
    if (t == nullptr) return {};
    require(t->dim() == 2 && t->size(0) == batch_ && offset >= 0 && offset + width <= t->size(1),
            "pool: expected a row per sample, got shape " + shape_of(*t));
    return {t->template mutable_data_ptr<T>() + offset, t->size(1), 0};
  }

  int64_t stride_of(int64_t l) const { return padded<T>(layers_[static_cast<size_t>(l)].neurons); }
  int64_t first_output() const { return run.network.layers - run.network.output_layers; }

  void take_signal() {
    OnlineSignal<T> signal;
    signal.layer = next(run.network.layers, "layer");
    const int64_t neurons = layers_[static_cast<size_t>(signal.layer)].neurons;
    for (int64_t k = 0; k < run.network.output_layers; ++k) {
      const int64_t outputs = layers_[static_cast<size_t>(first_output() + k)].neurons;
      const int64_t width = stride_of(first_output() + k);
      signal.kind[k] = static_cast<Feedback>(next(4, "kind of feedback"));
      signal.row_stride[k] = width;
      const int64_t first = next();  // row of the matrix that belongs to the first neuron
      require(first >= 0, "program: no such row");
      const bool by_rows = signal.kind[k] == Feedback::rows;
      const int64_t size = signal.kind[k] == Feedback::scalar ? outputs
                           : by_rows                          ? (first + neurons) * width
                                                              : outputs * stride_of(signal.layer);
      const T* matrix = data(size);
      require(signal.kind[k] == Feedback::none || matrix != nullptr, "program: expected feedback weights");
      signal.matrix[k] = by_rows ? matrix + first * width : matrix;
    }
    signals_.push_back(signal);
  }

  void take_trace() {
    OnlineTrace<T> a;
    a.layer = next(run.network.layers, "layer"), a.source = static_cast<Source>(next(3, "source"));
    const NetworkLayer<T>& layer = layers_[static_cast<size_t>(a.layer)];
    const OnlineLayer<T>& own = own_[static_cast<size_t>(a.layer)];
    const ModelInfo& info = kernels().models[layer.model];
    a.constant = next(info.constants, "constant");
    a.columns = layer.neurons, a.stride = stride_of(a.layer);
    a.rows = a.source == Source::input ? layer.inputs : a.source == Source::recurrent ? layer.neurons : 1;
    require(a.source != Source::recurrent || layer.recurrent != nullptr, "program: the layer is not recurrent");
    const int64_t size = a.rows * a.stride;
    a.memory = next() != 0, a.post_error = next() != 0;
    require(!a.post_error || a.layer >= first_output(), "program: only outputs have errors");
    require(a.memory ? own.memory : a.post_error || own.instantaneous, "program: the layer has no such derivatives");
    require(a.source != Source::constant || own.constants, "program: the layer has no derivatives of constants");
    const bool by_sample = next() != 0;
    require(!a.memory || by_sample, "program: traces with memory are kept per sample");
    a.sets = by_sample ? batch_ : 1;
    if (a.memory)
      a.vectors = needed(a.sets * info.states * size, "eligibility vectors");
    else
      next();
    a.poles = next(kMaxPoles + 1, "number of filters");
    for (int64_t q = 0; q < kMaxPoles; ++q) {
      a.pole[q] = static_cast<T>(number());
      a.filtered[q] = data(a.sets * size);
      require(q >= a.poles || a.filtered[q] != nullptr, "program: expected filtered traces");
    }
    a.input_poles = next(kMaxPoles + 1, "number of filters");
    for (int64_t q = 0; q < kMaxPoles; ++q) {
      a.input_pole[q] = static_cast<T>(number());
      a.filtered_input[q] = data(batch_ * a.rows);
      require(q >= a.input_poles || a.filtered_input[q] != nullptr, "program: expected filtered inputs");
    }
    a.signal = take_signal_index(a), a.sign_signal = take_signal_index(a);
    a.group = next(2, "group");
    a.grad = data(size), a.sign_grad = data(a.rows);
    a.weight = data(size);
    a.effective = data(a.rows * (a.source == Source::constant ? a.columns : a.stride));
    if (a.source == Source::constant && a.effective != nullptr) a.effective += a.constant * a.columns;
    a.mask = data(size), a.sign = data(a.rows);
    a.first_moment = data(size), a.second_moment = data(size);
    a.sign_first_moment = data(a.rows), a.sign_second_moment = data(a.rows);
    a.twin = data(size);
    a.scalar = next() != 0;
    a.map = static_cast<Map>(next(5, "map of a constant"));
    require(a.map == Map::identity || (a.source == Source::constant && a.effective != nullptr),
            "program: only constants that are updated are mapped");
    a.steps = number(), a.sign_steps = number(), a.map_scale = static_cast<T>(number());
    check_update(a);
    rows_of_traces_ += a.rows, entries_ += a.sets * size;
    traces_.push_back(a);
  }

  void take_solver() {
    OnlineSolver<T> a;
    a.output = next(run.network.output_layers, "output"), a.layer = next(run.network.layers, "layer");
    a.source = static_cast<Source>(next(2, "source")), a.regressor = static_cast<Regressor>(next(3, "regressor"));
    const int64_t l = a.layer;
    const NetworkLayer<T>& layer = layers_[static_cast<size_t>(l)];
    const NetworkLayer<T>& output = layers_[static_cast<size_t>(first_output() + a.output)];
    const bool is_recurrent = a.source == Source::recurrent;
    require(!is_recurrent || layer.recurrent != nullptr, "program: the layer is not recurrent");
    RlsUpdate<T>& u = a.update;
    u.inputs = is_recurrent ? layer.neurons : layer.inputs, u.outputs = layer.neurons;
    a.before = data(u.inputs);
    require(u.outputs == output.neurons, "program: the weights do not lead to as many neurons as the output has");
    require(a.regressor == Regressor::presynaptic || u.inputs == output.neurons ||
                (a.regressor == Regressor::before && run.first_target + 1 >= run.network.steps),
            "program: the output cannot be the regressor of these weights");
    require(a.regressor != Regressor::before || a.before != nullptr,
            "program: expected the regressor of the first step");
    u.weight_stride = stride_of(l);
    u.weight = needed(u.inputs * u.weight_stride, "weights");
    a.effective = needed(u.inputs * u.weight_stride, "weights that the network reads");
    a.mask = data(u.inputs * u.weight_stride), a.sign = data(u.inputs);
    u.inverse = needed(u.inputs * u.inputs, "an inverse correlation"), u.direction = needed(u.inputs, "a direction");
    u.gain = static_cast<T>(number()), u.kappa = static_cast<T>(number()), u.keep = static_cast<T>(number());
    u.take = static_cast<T>(number()), u.rate = static_cast<T>(number());
    entries_ += u.inputs * u.inputs;
    solvers_.push_back(a);
  }

  int64_t widest() const {
    int64_t most = 0;
    for (const NetworkLayer<T>& layer : layers_) {
      const int64_t wider = layer.inputs > layer.neurons ? layer.inputs : layer.neurons;
      most = padded<T>(wider) > most ? padded<T>(wider) : most;
    }
    return most;
  }

  int64_t take_signal_index(const OnlineTrace<T>& a) {
    const int64_t index = next();
    if (index <= -2) {
      require(first_output() - 2 - index == a.layer, "program: only an output's own error is its signal");
    } else {
      require(index < run.signals && (index < 0 || signals_[static_cast<size_t>(index)].layer == a.layer),
              "program: no such signal of this layer");
    }
    return index;
  }

  void check_update(const OnlineTrace<T>& a) const {
    const Rule rule = run.optimizer[a.group].rule;
    require(rule != Rule::none || a.grad != nullptr, "program: expected a place for the gradient");
    require(a.sign == nullptr || a.weight != nullptr, "program: signs need weights");
    require(a.sign == nullptr || a.grad == nullptr || a.sign_grad != nullptr, "program: expected a gradient of signs");
    require(run.every == 1 || a.grad != nullptr, "program: expected a place for the gradient of several steps");
    require(!(run.trace_clip < std::numeric_limits<double>::infinity()) || a.poles > 0,
            "program: clipped traces are filtered ones");
    if (rule == Rule::none) return;
    require(a.weight != nullptr && a.effective != nullptr, "program: expected weights to update");
    if (rule != Rule::adamw) return;
    require(a.first_moment != nullptr && a.second_moment != nullptr, "program: expected moments");
    require(a.sign == nullptr || (a.sign_first_moment != nullptr && a.sign_second_moment != nullptr),
            "program: expected moments of signs");
  }

  const TensorList& pool_;
  const std::vector<int64_t>& program_;
  const std::vector<double>& numbers_;
  size_t at_ = 0, number_at_ = 0;
  int64_t batch_ = 0, rows_of_traces_ = 0, entries_ = 0;
  std::vector<T> shared_signals_;
  std::vector<double> shared_squares_;
  std::vector<NetworkLayer<T>> layers_;
  std::vector<OnlineLayer<T>> own_;
  std::vector<Rows<const T>> teacher_;
  std::vector<int64_t> feedback_;
  std::vector<OnlineSignal<T>> signals_;
  std::vector<OnlineTrace<T>> traces_;
  std::vector<OnlineSolver<T>> solvers_;
};

}  // namespace

int64_t online_run(const TensorList& pool, const std::vector<int64_t>& program, const std::vector<double>& numbers) {
  require(!pool.empty() && pool[0].is_cpu(),
          "device: learning while running needs the CPU so far; move the model and its inputs to the CPU");
  int64_t found = 0;
  dispatch(pool[0], "pool", [&](auto tag) {
    using T = decltype(tag);
    OnlineReader<T> reader(pool, program, numbers);
    for_samples(1, reader.is_shareable(),
                [&](int64_t, int64_t, const Team& team) { of<T>(kernels()).online_run(reader.run, team); });
    found = reader.found;
  });
  return found;
}

}  // namespace nt
