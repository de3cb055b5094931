#include "policy/tool/compile/vocabulary.hpp"

#include "policy/tool/compile/compile.hpp"

namespace sallyport::policy::compile {

namespace {

// Each table and each key with a choice, once. A word that it lacks is one that no editor proposes: a test looks for that.
constexpr std::string_view kSpecimen = R"(schema = 1
dialect = "0.14-preview"
peers = { uids = [0] }
audit = { on_loss = "refuse", journal = "some" }

[[allow]]
id = "all"
commands = ["@inspect", "@file", "@freeze", "@power", "@exec", "@accounts", "@hardware"]
files = [{ under = "/", access = ["read"], kinds = ["regular"], symlinks = "refuse", links = "single", setid = "refuse" }]
freeze = { already_frozen = "skip" }
modes = ["halt"]
method = "systemd"
exec = [{ program = "/bin/a", args = [{ int = [1, 2] }], run_as = "root", confine = { network = false } }]
users = ["root"]
crypted = "only"
key_types = ["ssh-ed25519"]
time = { max_step = "1s" }
vcpus = { min_online = 1, cpus = "any" }
memory = { blocks = "any" }
reply = { without = ["serial"] }
when = { days = "mon", tz = "UTC" }

[[deny]]
id = "no"
enforce = true
files = [{ under = "/srv" }]

[[never]]
id = "never"
exec = { run_as = ["root"] }
)";

}  // namespace

Vocabulary*& listener() {
    static Vocabulary* heard = nullptr;
    return heard;
}

Vocabulary vocabulary() {
    Vocabulary heard;
    listener() = &heard;
    static_cast<void>(compile_policy(
        {.text = kSpecimen, .name = "specimen", .passwd = "root:x:0:0:root:/root:/bin/sh\n", .group = {}}));
    listener() = nullptr;
    return heard;
}

}  // namespace sallyport::policy::compile
