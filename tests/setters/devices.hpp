// A guest whose processors, memory blocks and hardware clock are files of the test: in mounts of the test program's own.
#pragma once

#include <string>
#include <vector>

namespace sallyport::test {

/// Made once, before anything is started. From then on neither this process nor what it starts can set the machine's clock.
class Devices {
public:
    Devices();
    ~Devices();
    Devices(const Devices&) = delete;
    Devices& operator=(const Devices&) = delete;

    /// Four processors, of which the first cannot be taken offline, and four blocks, of which the last is offline; nothing else.
    void reset() const;
    /// `online` of a processor, `state` of a block.
    [[nodiscard]] std::string processor(int number) const;
    [[nodiscard]] std::string block(int number) const;
    /// Runs a shell script, in which $C and $M are the two directories.
    void change(const std::string& script) const;
    void with_hardware_clock(bool is_there) const;
};

}  // namespace sallyport::test
