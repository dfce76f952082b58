// How work is spread over torch's threads.
#pragma once

#include <torch/csrc/stable/ops.h>

#include "../cpu/kernels.h"

namespace nt {

// Runs f(begin, end, team) over `batch` samples: samples are dealt out to threads that never wait for each other; when
// there are fewer samples than threads and `shareable`, all threads work together on every sample.
template <class F>
void for_samples(int64_t batch, bool shareable, const F& f) {
  const auto threads = static_cast<int64_t>(torch::stable::get_num_threads());
  if (!shareable || batch >= threads || threads == 1) {
    torch::stable::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) { f(begin, end, Team{}); });
    return;
  }
  alignas(64) int64_t barrier[16] = {};
  // The region may get fewer threads than asked for: everyone derives the number of members from its own chunk.
  torch::stable::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    uint32_t id = 0;
    torch_get_thread_idx(&id);
    const int64_t chunk = begin == 0 ? end - begin : begin / static_cast<int64_t>(id);
    const int64_t members = (threads + chunk - 1) / chunk;
    f(int64_t(0), batch, Team{begin / chunk, members, barrier});
  });
}

}  // namespace nt
