#include "policy/tool/analyse/words.hpp"

#include <algorithm>

#include "policy/tool/analyse/feature.hpp"

namespace sallyport::policy::analyse {

namespace {

constexpr std::string_view kPlainLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=+,@%~";

std::string quoted(const std::string& text) {
    if (text.find_first_not_of(kPlainLetters) == text.npos) return text;
    std::string all = "'";
    for (const char c : text) all += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return all + "'";
}

std::string names_of(std::span<const Feature> features) {
    std::string names;
    for (const Feature& feature : features)
        if (feature.show != show_nothing) names.append(names.empty() ? "" : ", ").append(feature.name);
    return names;
}

}  // namespace

std::vector<Word> words_of(const Request& request, bool with_time) {
    std::vector<Word> words;
    for (const Feature& feature : features_of(subject_of(request.command))) {
        std::string text = feature.show(request);
        if (text.empty() || (feature.name == "time" && !with_time)) continue;
        // A list has a line for each.
        for (std::size_t at = 0; at <= text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            words.emplace_back(feature.name, text.substr(at, end - at));
            at = end + 1;
        }
    }
    return words;
}

std::string line_of(const Request& request, bool with_time) {
    std::string line(command_row(request.command).name);
    for (const auto& [name, value] : words_of(request, with_time))
        line.append(" ").append(name).append("=").append(quoted(value));
    return line;
}

std::expected<void, std::string> read_word(Request& request, const Word& word) {
    const auto features = features_of(subject_of(request.command));
    const auto feature = std::ranges::find(features, word.first, &Feature::name);
    if (feature == features.end())
        return std::unexpected(std::string(command_row(request.command).name) + " has no '" + word.first +
                               "'; it has " + names_of(features));
    if (!feature->read(request, word.second))
        return std::unexpected("'" + word.second + "' is no value of '" + word.first + "'");
    return {};
}

std::expected<Request, std::string> read_words(const std::vector<std::string>& words, const Request& from) {
    if (words.empty()) return std::unexpected("no command");
    Request request = from;
    const auto command = find_command(words.front());
    if (!command) return std::unexpected("unknown command '" + words.front() + "'");
    request.command = *command;
    for (std::size_t at = 1; at < words.size(); ++at) {
        const std::size_t end = words[at].find('=');
        if (end == std::string::npos)
            return std::unexpected("'" + words[at] + "' is not of the form NAME=VALUE");
        const auto read = read_word(request, {words[at].substr(0, end), words[at].substr(end + 1)});
        if (!read) return std::unexpected(read.error());
    }
    return request;
}

}  // namespace sallyport::policy::analyse
