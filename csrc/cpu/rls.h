// Recursive least squares: gain, weights and inverse correlation in two passes over the latter; one step by itself, and
// the steps of a network that learns while it runs.
#pragma once

#include "arena.h"
#include "driver.h"
#include "online_arguments.h"

NT_NAMESPACE_BEGIN

// Own columns of k = P phi.
template <class T>
void rls_direction(const RlsUpdate<T>& a, const Columns& mine) {
  const int64_t n = a.inputs;
  T* k = a.direction;
  for (int64_t j = mine.begin; j < mine.end; ++j) k[j] = T(0);
  // P is symmetric, so its columns may be added up row by row.
  for (int64_t i = 0; i < n; ++i) {
    const T phi = a.regressor[i];
    const T* row = a.inverse + i * n;
    NT_SIMD
    for (int64_t j = mine.begin; j < mine.end; ++j) k[j] = NT_FMA(phi, row[j], k[j]);
  }
}

// h, once k is complete.
template <class T>
T rls_gain(const RlsUpdate<T>& a) {
  double projected = 0;
  for (int64_t i = 0; i < a.inputs; ++i)
    projected += static_cast<double>(a.regressor[i]) * static_cast<double>(a.direction[i]);
  return T(1) / (a.gain + a.kappa * static_cast<T>(projected));
}

// What row i of the weights loses, in place.
template <class T>
void rls_weight_row(const RlsUpdate<T>& a, T h, int64_t i, T* weight) {
  const T step = -(a.rate * h * a.direction[i]);
  NT_SIMD
  for (int64_t j = 0; j < a.outputs; ++j) weight[j] = NT_FMA(step, a.error[j], weight[j]);
}

template <class T>
void rls_inverse_row(const RlsUpdate<T>& a, T h, int64_t i) {
  const T taken = a.take * h, own = a.direction[i];
  const T* k = a.direction;
  T* row = a.inverse + i * a.inputs;
  // The product of the two entries first: it is the same for (i, j) and (j, i).
  NT_SIMD
  for (int64_t j = 0; j < a.inputs; ++j) row[j] = NT_FMA(-taken, own * k[j], a.keep * row[j]);
}

template <class T>
void rls_update(const RlsUpdate<T>& a) {
  const FlushDenormals flush;
  rls_direction(a, Columns::of<T>(a.inputs, Team{}));
  const T h = rls_gain(a);
  for (int64_t i = 0; i < a.inputs; ++i) {
    rls_weight_row(a, h, i, a.weight + i * a.weight_stride);
    rls_inverse_row(a, h, i);
  }
}

// The least squares of a network that runs: a step of every solver after each step of the network.
template <class T>
class Solvers {
 public:
  Solvers(const Online<T>& net, const Team& team, Arena& arena, int64_t widest) : net_(net), team_(team) {
    if (net.solvers == 0) return;
    regressor_ = arena.take<T>(widest), error_ = arena.take<T>(widest), row_ = arena.take<T>(widest);
  }

  // False once an error (before its step) or some P (after it) is not finite; every member comes to the same end.
  // `presynaptic(solver, t, b)` is the row that the weights saw.
  template <class Presynaptic>
  bool step(int64_t t, Presynaptic presynaptic) {
    for (int64_t k = 0; k < net_.solvers && t >= net_.first_target; ++k) {
      const int64_t found = solve(net_.solver[k], t, presynaptic);
      if (found == kFinite) continue;
      if (team_.rank == 0) *net_.found = found;
      return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kFinite = 0, kInverse = 1, kError = 2;

  template <class Presynaptic>
  int64_t solve(const OnlineSolver<T>& solver, int64_t t, Presynaptic presynaptic) {
    RlsUpdate<T> a = solver.update;
    read(solver, t, presynaptic, a);
    if (!is_finite(a.outputs, a.error, 1)) return kError;
    rls_direction(a, Columns::of<T>(a.inputs, team_));
    meet(team_);
    const T h = rls_gain(a);
    for (int64_t i = a.inputs * team_.rank / team_.size; i < a.inputs * (team_.rank + 1) / team_.size; ++i) {
      update_weights(solver, a, h, i);
      rls_inverse_row(a, h, i);
    }
    meet(team_);
    return is_finite(a.inputs, a.inverse, a.inputs + 1) ? kFinite : kInverse;
  }

  static bool is_finite(int64_t n, const T* x, int64_t step) {
    T sum = T(0);
    for (int64_t i = 0; i < n; ++i) sum += x[i * step] - x[i * step];
    return sum == T(0);  // x - x is zero where x is finite
  }

  // Regressor and error, means over the samples.
  template <class Presynaptic>
  void read(const OnlineSolver<T>& solver, int64_t t, Presynaptic presynaptic, RlsUpdate<T>& a) {
    const int64_t batch = net_.network.batch;
    const OnlineLayer<T>& output = net_.layer[net_.network.layers - net_.network.output_layers + solver.output];
    const bool is_given = solver.regressor == Regressor::before && t == net_.first_target;
    __builtin_memset(regressor_, 0, static_cast<size_t>(a.inputs) * sizeof(T));
    __builtin_memset(error_, 0, static_cast<size_t>(a.outputs) * sizeof(T));
    for (int64_t b = 0; b < batch; ++b) {
      const T *out = output.out.row(b, t), *target = output.target.row(b, t - output.first_target);
      const T* row = solver.regressor == Regressor::presynaptic ? presynaptic(solver, t, b)
                     : solver.regressor == Regressor::after     ? out
                                                                : output.out.row(b, t - 1);
      if (!is_given) add_row(a.inputs, row, regressor_);
      for (int64_t j = 0; j < a.outputs; ++j) error_[j] += out[j] - target[j];
    }
    for (int64_t j = 0; j < a.inputs; ++j) regressor_[j] /= static_cast<T>(batch);
    for (int64_t j = 0; j < a.outputs; ++j) error_[j] /= static_cast<T>(batch);
    a.regressor = is_given ? solver.before : regressor_, a.error = error_;
  }

  // Stored weights of a row, and what the network reads of them. Under Dale's law the effective weights w^2 s take the
  // step, and those of the wrong sign become 0; a neuron without sign keeps what is stored.
  void update_weights(const OnlineSolver<T>& solver, const RlsUpdate<T>& a, T h, int64_t i) {
    T *stored = a.weight + i * a.weight_stride, *read = solver.effective + i * a.weight_stride;
    if (solver.sign == nullptr) {
      rls_weight_row(a, h, i, stored);
      if (read != stored) copy_row(a.outputs, stored, read);
    } else {
      const T sign = solver.sign[i];
      for (int64_t j = 0; j < a.outputs; ++j) row_[j] = stored[j] * stored[j] * sign;
      rls_weight_row(a, h, i, row_);
      for (int64_t j = 0; sign != T(0) && j < a.outputs; ++j) {
        const T magnitude = row_[j] / sign;
        stored[j] = square_root(magnitude > T(0) ? magnitude : T(0));
      }
      for (int64_t j = 0; j < a.outputs; ++j) read[j] = stored[j] * stored[j] * sign;
    }
    const T* mask = solver.mask == nullptr ? nullptr : solver.mask + i * a.weight_stride;
    for (int64_t j = 0; mask != nullptr && j < a.outputs; ++j) read[j] *= mask[j];
  }

  const Online<T>& net_;
  const Team& team_;
  T *regressor_ = nullptr, *error_ = nullptr, *row_ = nullptr;
};

NT_NAMESPACE_END
