// manual: the manual page of a verb, made of the options that it declares, and of examples that a test runs. Of the daemon, whose page has a
// text of its own, it says the options.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "policy/tool/verbs/declare.hpp"
#include "policy/tool/verbs/examples.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/service_options.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr std::string_view kTool = "sallyport-policy";
constexpr std::string_view kUsualStatus =
    "0: fine. 1: a policy is wrong, or a file cannot be used. 2: the command line is wrong.";

/// A line of text for troff.
std::string line(std::string_view text) {
    std::string escaped;
    if (text.starts_with('.') || text.starts_with('\'')) escaped = "\\&";
    for (const char one : text) {
        if (one == '\\')
            escaped += "\\e";
        else if (one == '-')
            escaped += "\\-";
        else
            escaped += one == '\n' ? ' ' : one;
    }
    return escaped + "\n";
}

std::string head(std::string_view page, std::string_view summary) {
    std::string capitals;
    for (const char one : page)
        capitals += one >= 'a' && one <= 'z' ? static_cast<char>(one - 'a' + 'A') : one;
    return ".TH " + capitals + " 1 \"\" \"Sallyport " SALLYPORT_VERSION "\"\n.SH NAME\n" +
           line(page).substr(0, line(page).size() - 1) + " \\- " + line(summary);
}

std::string synopsis_of(const CLI::App& verb) {
    std::string words = std::string(kTool) + " " + verb.get_name() + " [OPTION...]";
    for (const CLI::Option* option : verb.get_options()) {
        if (!option->get_positional()) continue;
        const std::string name = option->get_name(true);
        const std::string more = option->get_items_expected_max() > 1 ? "..." : "";
        words += option->get_required() ? " " + name + more : " [" + name + more + "]";
    }
    return line(words);
}

std::string options_of(const CLI::App& verb) {
    std::string text;
    for (const CLI::Option* option : verb.get_options()) {
        std::string names;
        for (const std::string& name : option->get_snames())
            names.append(names.empty() ? "-" : ", -").append(name);
        for (const std::string& name : option->get_lnames())
            names.append(names.empty() ? "--" : ", --").append(name);
        if (names.empty()) names = option->get_name(true);
        text += ".TP\n.B " + line(names) + line(option->get_description());
    }
    return text;
}

std::string examples_of(std::string_view verb) {
    std::string text;
    for (const Example& example : kExamples)
        if (example.verb == verb)
            text += ".EX\n" + line("$ " + std::string(example.line)) + ".EE\n" + line(example.what) +
                    "Status " + std::to_string(example.status) + ".\n.PP\n";
    return text;
}

std::string page_of(const CLI::App& verb) {
    const std::string footer = verb.get_footer();
    std::string text = head(std::string(kTool) + "-" + verb.get_name(), verb.get_description());
    text += ".SH SYNOPSIS\n" + synopsis_of(verb) + ".SH OPTIONS\n" + options_of(verb);
    text += ".SH EXIT STATUS\n" + line(footer.empty() ? std::string(kUsualStatus) : footer);
    text += ".SH EXAMPLES\n" + examples_of(verb.get_name());
    return text + ".SH SEE ALSO\nsallyport\\-policy(1)\n";
}

std::string page_of_all(CLI::App& tool) {
    std::string text = head(kTool, tool.get_description());
    text += ".SH SYNOPSIS\n" + line(std::string(kTool) + " VERB [WORD...]") + ".SH VERBS\n";
    for (const CLI::App* verb : tool.get_subcommands([](const CLI::App*) { return true; }))
        text += ".TP\n.B " + line(verb->get_name()) + line(verb->get_description());
    text +=
        ".SH EXIT STATUS\n" + line(kUsualStatus) + line("What 3 and 4 mean stands in the page of each verb.");
    return text + ".SH SEE ALSO\n" + line("The pages sallyport-policy-VERB(1), one for each verb.");
}

}  // namespace

Run declare_manual(CLI::App& command) {
    const auto name = std::make_shared<std::string>();
    command.add_option("VERB", *name,
                       "A verb, or sallyportd for its options; without, the page about the tool");
    CLI::App* const tool = command.get_parent();
    return [name, tool] {
        if (name->empty()) return print(page_of_all(*tool)), kSuccess;
        if (*name == "sallyportd") return print(help_text()), kSuccess;
        for (const CLI::App* verb : tool->get_subcommands([](const CLI::App*) { return true; }))
            if (verb->get_name() == *name) return print(page_of(*verb)), kSuccess;
        return complain("sallyport-policy: there is no such verb\n"), kUsage;
    };
}

}  // namespace sallyport::policy::cli
