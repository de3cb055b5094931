#include "tests/support/scratch.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tests/support/wait.hpp"

namespace sallyport::test {

namespace fs = std::filesystem;

Scratch::Scratch() {
    std::string name = fs::temp_directory_path() / "sallyport-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp: " + name);
    path_ = name;
    ::chmod(path_.c_str(), 0755);
}

Scratch::~Scratch() {
    const std::string mounts = read_file("/proc/self/mountinfo");
    EXPECT_EQ(mounts.find(path_), std::string::npos) << "left mounted:\n" << mounts;
    // A recorder whose agent was killed may still write its last lines.
    std::error_code error;
    EXPECT_TRUE(eventually([&] { return fs::remove_all(path_, error), !error; }))
        << path_ << ": " << error.message();
}

std::string Scratch::write(std::string_view name, std::string_view contents, mode_t mode) const {
    const std::string file = path(name);
    fs::create_directories(fs::path(file).parent_path());
    std::ofstream(file, std::ios::binary) << contents;
    if (::chmod(file.c_str(), mode) != 0) throw std::runtime_error("chmod: " + file);
    return file;
}

std::string Scratch::make_folder(std::string_view name, mode_t mode) const {
    const std::string folder = path(name);
    fs::create_directories(folder);
    if (::chmod(folder.c_str(), mode) != 0) throw std::runtime_error("chmod: " + folder);
    return folder;
}

void Scratch::give_to(uid_t user) const {
    if (::lchown(path_.c_str(), user, user) != 0) throw std::runtime_error("chown: " + path_);
    for (const auto& entry : fs::recursive_directory_iterator(path_))
        if (::lchown(entry.path().c_str(), user, user) != 0)
            throw std::runtime_error("chown: " + entry.path().string());
}

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace sallyport::test
