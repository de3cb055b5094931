// In the place of a process of the agent: says at once that it is ready, and has confined itself in no way.
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/files.pb.h"
#include "ipc/guard.pb.h"
#include "ipc/inspector.pb.h"
#include "ipc/launcher.pb.h"
#include "ipc/nursery.pb.h"

namespace {

using namespace sallyport;

const FdRef kBroker(3);

void say(const google::protobuf::MessageLite& ready) {
    std::string frame;
    ipc::encode(ready, frame);
    (void)ipc::send(kBroker, frame, ipc::WhenFull::kWait);
}

void say_ready(std::string_view name) {
    ipc::LauncherReply launcher;
    launcher.mutable_launcher_ready();
    ipc::GuardReply guard;
    guard.mutable_ready();
    ipc::NurseryReply nursery;
    nursery.mutable_nursery_ready();
    ipc::InspectorReply inspector;
    inspector.mutable_inspector_ready();
    ipc::FilesReply files;
    files.mutable_files_ready();
    if (name == "sallyport-files") say(files);
    if (name == "sallyport-launcher") say(launcher);
    if (name == "sallyport-guard") say(guard);
    if (name == "sallyport-nursery") say(nursery);
    if (name == "sallyport-inspector") say(inspector);
    if (name == "sallyport-recorder") (void)ipc::send(kBroker, "r", ipc::WhenFull::kWait);
}

}  // namespace

int main(int, char** argv) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    say_ready(argv[0]);
    for (;;) ::pause();
}
