// The operator of recursive least squares: rls_update.
#pragma once

#include "tensors.h"

namespace nt {

// Updates P [n, n] and W [n, m] in place (rls_arguments.h) from the regressor [n] and the error [m]; returns P phi.
// P must be symmetric; both must have adjacent entries in their rows.
Tensor rls_update(Tensor inverse, Tensor weight, const Tensor& regressor, const Tensor& error, double gain,
                  double kappa, double keep, double take, double rate);

}  // namespace nt
