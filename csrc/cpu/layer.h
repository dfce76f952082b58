// Drivers of one layer over a whole sequence: time loops over the row kernels. The sums over presynaptic neurons come
// from products.h; samples never wait for each other.
#pragma once

#include "driver.h"

NT_NAMESPACE_BEGIN

// Points `row` at the state before and after step t of sample b, columns from `column` on. A state without a trace, or
// whose trace is streamed, lives in its final_state row and is updated in place.
template <class T>
NT_HD void aim_step(const LayerForward<T>& a, const ModelInfo& info, int64_t b, int64_t t, int64_t column,
                    StepRow<T>& row) {
  for (int k = 0; k < info.states; ++k) {
    const int64_t at = b * a.neurons + column;
    if (a.trace[k] && !a.streams) {
      row.before[k] = t == 0 ? a.initial[k] + at : a.trace[k].row(b, t - 1) + column;
      row.after[k] = a.trace[k].row(b, t) + column;
    } else {
      row.before[k] = t == 0 ? a.initial[k] + at : a.final_state[k] + at;
      row.after[k] = a.final_state[k] + at;
    }
  }
  row.current = a.current.row(b, t) + column;
}

template <class T>
NT_HD void finish_step(const LayerForward<T>& a, const ModelInfo& info, int64_t b, int64_t t, int64_t column,
                       const StepRow<T>& row) {
  if (a.out) activate_row(a.activation, row.n, row.after[info.output], a.out.row(b, t) + column);
  for (int k = 0; a.streams && k < info.states; ++k)
    if (a.trace[k]) stream_row(row.n, row.after[k], a.trace[k].row(b, t) + column);
  if (t + 1 < a.steps) return;
  for (int k = 0; k < info.states; ++k) copy_row(row.n, row.after[k], a.final_state[k] + b * a.neurons + column);
}

template <class T>
void forward_independent(const LayerForward<T>& a, const ModelInfo& info, const RowKernels<T>& rows, int64_t begin,
                         int64_t end) {
  const int64_t tiles = tiles_of(a.neurons);
  Scratch scratch(Scratch::bytes<T>(kTile));
  const T* zeros = scratch.take<T>(kTile);
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t b = unit / tiles, column = unit % tiles * kTile;
    const int64_t n = a.neurons - column < kTile ? a.neurons - column : kTile;
    StepRow<T> row = {n, a.constants + column, a.neurons, {}, {}, nullptr, zeros};
    for (int64_t t = 0; t < a.steps; ++t) {
      aim_step(a, info, b, t, column, row);
      rows.step(row);
      finish_step(a, info, b, t, column, row);
    }
  }
}

template <class T>
void forward_recurrent(const LayerForward<T>& a, const ModelInfo& info, const RowKernels<T>& rows, int64_t begin,
                       int64_t end) {
  const int64_t n = a.neurons, width = a.recurrent_stride;
  StepMatrix<T> matrix;
  matrix.aim(n, a.recurrent, width, 0, width);
  matrix.plan(a.steps, end - begin, matrix.bytes());
  const int64_t block = end - begin < matrix.block() ? end - begin : matrix.block();
  const int64_t seen_width = info.computes_presynaptic ? n : 0;
  Scratch scratch(block * (Scratch::bytes<T>(width) + Scratch::bytes<T>(seen_width)) +
                  Scratch::bytes<int32_t>(block * n) + Scratch::bytes<T>(block * n));
  T *recurrent[kPackedBlock], *seen[kPackedBlock];
  for (int64_t r = 0; r < block; ++r) recurrent[r] = scratch.take<T>(width), seen[r] = scratch.take<T>(seen_width);
  int32_t* index = scratch.take<int32_t>(block * n);
  T* value = scratch.take<T>(block * n);
  for (int64_t first = begin; first < end; first += block) {
    const int64_t m = end - first < block ? end - first : block;
    for (int64_t t = 0; t < a.steps; ++t) {
      StepRow<T> row[kPackedBlock];
      const T* spikes[kPackedBlock] = {};
      for (int64_t r = 0; r < m; ++r) {
        row[r] = {n, a.constants, n, {}, {}, nullptr, recurrent[r]};
        aim_step(a, info, first + r, t, 0, row[r]);
        spikes[r] = presynaptic_of(info, rows, n, a.constants, row[r].before, seen[r]);
      }
      matrix.multiply_sparse(m, spikes, recurrent, t, kDenseRate, index, value);
      for (int64_t r = 0; r < m; ++r) {
        rows.step(row[r]);
        finish_step(a, info, first + r, t, 0, row[r]);
      }
    }
  }
}

template <class T>
void layer_forward(const LayerForward<T>& a, int64_t begin, int64_t end) {
  const FlushDenormals flush;
  const ModelInfo& info = model_info(a.model);
  const RowKernels<T>& rows = rows_of<T>(a.model, a.surrogate);
  a.recurrent ? forward_recurrent(a, info, rows, begin, end) : forward_independent(a, info, rows, begin, end);
  if (a.streams) finish_streams();
}

// ---- adjoint -------------------------------------------------------------------------------------------------

// The states before step t of sample b, columns from `column` on, as far as they were saved.
template <class T>
NT_HD StateRows<T> before_rows(const LayerBackward<T>& a, const ModelInfo& info, int64_t b, int64_t t, int64_t column) {
  if (t == 0) return {info, a.initial, b * a.neurons + column};
  StateRows<T> saved;
  for (int k = 0; k < info.states; ++k)
    if (a.trace[k]) saved.row[k] = a.trace[k].row(b, t - 1) + column;
  return saved;
}

// Rows of step t of sample b, columns from `column` on. `scratch` holds the output's gradient before its activation.
template <class T>
NT_HD void aim_adjoint(const LayerBackward<T>& a, const ModelInfo& info, int64_t b, int64_t t, int64_t column,
                       const T* zeros, T* scratch, AdjointRow<T>& row) {
  const StateRows<T> before = before_rows(a, info, b, t, column);
  for (int k = 0; k < info.states; ++k) {
    row.before[k] = before.row[k];
    row.after[k] = a.trace[k] ? a.trace[k].row(b, t) + column : nullptr;
    row.grad_state[k] = a.grad_state[k] + b * a.neurons + column;
    if (a.grad_trace[k]) add_row(row.n, a.grad_trace[k].row(b, t) + column, row.grad_state[k]);
  }
  row.grad_out = zeros;
  if (a.grad_out) {
    row.grad_out = a.grad_out.row(b, t) + column;
    if (a.activation != Activation::identity) {
      activate_adjoint_row(a.activation, row.n, a.out.row(b, t) + column, row.grad_out, scratch);
      row.grad_out = scratch;
    }
  }
  row.grad_current = a.grad_current.row(b, t) + column;
}

// What the adjoint of the step before t will read: time runs backwards, which the processor does not foresee.
template <class T>
NT_HD void prefetch_adjoint(const LayerBackward<T>& a, const ModelInfo& info, int64_t b, int64_t t, int64_t column,
                            int64_t n) {
  if (t < 2) return;
  if (a.grad_out) prefetch_row(n, a.grad_out.row(b, t - 1) + column);
  for (int k = 0; k < info.states; ++k) {
    if (a.trace[k]) prefetch_row(n, a.trace[k].row(b, t - 2) + column);
    if (a.grad_trace[k]) prefetch_row(n, a.grad_trace[k].row(b, t - 1) + column);
  }
}

template <class T>
NT_HD T* grad_constants_row(const LayerBackward<T>& a, const ModelInfo& info, int64_t b, int64_t column) {
  return a.grad_constants == nullptr ? nullptr : a.grad_constants + b * info.constants * a.neurons + column;
}

template <class T>
void backward_independent(const LayerBackward<T>& a, const ModelInfo& info, const RowKernels<T>& rows, int64_t begin,
                          int64_t end) {
  const int64_t tiles = tiles_of(a.neurons);
  Scratch scratch(3 * Scratch::bytes<T>(kTile));
  const T* zeros = scratch.take<T>(kTile);
  T *grad_out = scratch.take<T>(kTile), *grad_current = scratch.take<T>(kTile);
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t b = unit / tiles, column = unit % tiles * kTile;
    const int64_t n = a.neurons - column < kTile ? a.neurons - column : kTile;
    AdjointRow<T> row = {n,         a.constants + column,
                         a.neurons, {},
                         {},        nullptr,
                         zeros,     {},
                         nullptr,   grad_constants_row(a, info, b, column)};
    for (int64_t t = a.steps - 1; t >= 0; --t) {
      aim_adjoint(a, info, b, t, column, zeros, grad_out, row);
      if (a.streams) prefetch_adjoint(a, info, b, t, column, n);
      T* target = row.grad_current;
      if (a.streams) row.grad_current = grad_current;
      rows.adjoint(row, t == 0, a.grad_constants != nullptr);
      if (a.streams) stream_row(n, grad_current, target);
    }
  }
}

// Up to this share of neurons inside the support of the surrogate, their gradients are found one by one.
constexpr double kActiveRate = 0.25;

// Neurons whose potential lies inside the support of the surrogate: where the derivative is zero, it does not matter
// what the recurrent weights hand back to a spike.
template <class T>
class ActiveRows {
 public:
  ActiveRows(int64_t n, int64_t width)
      : n_(n), width_(width), scratch_(2 * Scratch::bytes<T>(width) + Scratch::bytes<int32_t>(width)) {
    slope_ = scratch_.template take<T>(width), value_ = scratch_.template take<T>(width);
    index_ = scratch_.template take<int32_t>(width);
  }

  // How many there are, of all neurons, so that no split of the work changes what is done.
  int64_t find(const RowKernels<T>& rows, const T* constants, const T* const* saved) {
    rows.slope(n_, constants, n_, saved, slope_);
    return count_ = compress(n_, slope_, index_, value_);
  }

  // Entries of out = c R^T for those neurons, columns of one member of a team; the others stay. `later` is not padded.
  void multiply(const T* later, const T* recurrent, const Columns& mine, T* out) {
    copy_row(n_, later, value_);
    for (int64_t j = n_; j < width_; ++j) value_[j] = T(0);
    for (int64_t e = 0; e < count_; ++e) {
      const int64_t i = index_[e];
      if (i >= mine.begin && i < mine.end) out[i] = dot(width_, value_, recurrent + i * width_);
    }
  }

 private:
  int64_t n_, width_, count_ = 0;
  Scratch scratch_;
  T *slope_, *value_;
  int32_t* index_;
};

template <class T>
void backward_recurrent(const LayerBackward<T>& a, const ModelInfo& info, const RowKernels<T>& rows, int64_t begin,
                        int64_t end, const Team& team) {
  const int64_t n = a.neurons, width = a.recurrent_stride;
  const Columns mine = Columns::of<T>(n, team);
  const int64_t block = end - begin < kPackedBlock ? end - begin : kPackedBlock;
  Scratch scratch((block + 2) * Scratch::bytes<T>(width));
  T* recurrent[kPackedBlock];
  for (int64_t r = 0; r < block; ++r) recurrent[r] = scratch.take<T>(width);
  T* grad_out = scratch.take<T>(width);
  const T* zeros = scratch.take<T>(width);
  const int64_t most_active =
      rows.slope == nullptr || a.recurrent == nullptr ? -1 : static_cast<int64_t>(kActiveRate * static_cast<double>(n));
  ActiveRows<T> active(n, width);
  StepMatrix<T> matrix;
  matrix.aim(n, a.recurrent_transposed, width, mine.begin, mine.padded_end);
  matrix.plan(a.steps, block, matrix.bytes());
  for (int64_t first = begin; first < end; first += block) {
    const int64_t m = end - first < block ? end - first : block;
    for (int64_t r = 0; r < m; ++r) clear_row(width, recurrent[r]);
    const T* later[kPackedBlock] = {};
    for (int64_t t = a.steps - 1; t >= 0; --t) {
      for (int64_t r = 0; r < m; ++r) {
        const int64_t b = first + r;
        AdjointRow<T> row = {
            mine.count(), a.constants + mine.begin,  n,  {},      {},
            nullptr,      recurrent[r] + mine.begin, {}, nullptr, grad_constants_row(a, info, b, mine.begin)};
        aim_adjoint(a, info, b, t, mine.begin, zeros, grad_out, row);
        rows.adjoint(row, t == 0, a.grad_constants != nullptr);
        later[r] = a.grad_current.row(b, t);
      }
      meet(team);  // everyone has written its columns of c_t
      if (t == 0 || most_active < 0) matrix.multiply(m, later, recurrent, t);
      if (most_active < 0) continue;
      const T* dense_later[kPackedBlock];
      T* dense_recurrent[kPackedBlock];
      int64_t many = 0;
      for (int64_t r = 0; r < m; ++r) {
        if (active.find(rows, a.constants, before_rows(a, info, first + r, t, 0).row) <= most_active) {
          if (t > 0) clear_row(mine.count(), recurrent[r] + mine.begin);  // spikes before the sequence want them all
          active.multiply(later[r], a.recurrent, mine, recurrent[r]);
        } else if (t > 0) {
          dense_later[many] = later[r], dense_recurrent[many++] = recurrent[r];
        }
      }
      if (many > 0) matrix.multiply(many, dense_later, dense_recurrent, t);
    }
    for (int64_t r = 0; r < m; ++r) {
      const int64_t at = (first + r) * n + mine.begin;
      add_presynaptic(info, rows, mine.count(), StateRows<T>(info, a.initial, at).row, recurrent[r] + mine.begin,
                      a.grad_state[info.presynaptic] + at);
    }
  }
}

template <class T>
void layer_backward(const LayerBackward<T>& a, int64_t begin, int64_t end, const Team& team) {
  const FlushDenormals flush;
  const ModelInfo& info = model_info(a.model);
  const RowKernels<T>& rows = rows_of<T>(a.model, a.surrogate);
  a.recurrent_transposed ? backward_recurrent(a, info, rows, begin, end, team)
                         : backward_independent(a, info, rows, begin, end);
  if (a.streams) finish_streams();
}

NT_NAMESPACE_END
