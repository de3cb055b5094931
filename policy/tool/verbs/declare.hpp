// How verbs say what words they take. Only the files that declare include CLI11, which takes longer to compile than a verb.
// Runs in:  the policy tool
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace sallyport::policy::cli {

/// Returns the exit status.
using Run = std::function<int()>;

/// Declares a verb's options on `command`; the result is run once they are read.
using Declare = Run (*)(CLI::App& command);

Run declare_apply(CLI::App& command);
Run declare_completion(CLI::App& command);
Run declare_import(CLI::App& command);
Run declare_manual(CLI::App& command);
Run declare_privileges(CLI::App& command);
Run declare_schema(CLI::App& command);
Run declare_status(CLI::App& command);

}  // namespace sallyport::policy::cli
