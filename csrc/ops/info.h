// What was built and what was chosen, for `neurotorch info`.
#pragma once

#include <string>
#include <vector>

namespace nt {

// "key=value" lines: isa, isa_reason, isa_built, cuda, models.
std::vector<std::string> build_info();

}  // namespace nt
