// The operator that runs a network while it learns: online_run.
#pragma once

#include "tensors.h"

namespace nt {

// Runs steps of a network, learning and updating in place. All tensors stand in `pool` and are written to where the
// driver says so (online_arguments.h); `program` and `numbers` describe the run, with indices into the pool, -1 for
// none, in the order in which OnlineReader takes them. Returns 0, or 1 + the group whose gradient is not finite.
int64_t online_run(const TensorList& pool, const std::vector<int64_t>& program, const std::vector<double>& numbers);

}  // namespace nt
