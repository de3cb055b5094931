// completion: what makes a shell complete the words of this tool, made of the options that the verbs declare.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "policy/tool/verbs/declare.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/verb.hpp"

namespace sallyport::policy::cli {

namespace {

std::vector<CLI::App*> verbs_of(CLI::App& tool) {
    return tool.get_subcommands([](const CLI::App*) { return true; });
}

/// The names of the options of a verb, with their dashes, in a line.
std::string options_of(const CLI::App& verb) {
    std::string names;
    for (const CLI::Option* option : verb.get_options()) {
        for (const std::string& name : option->get_lnames())
            names.append(names.empty() ? "--" : " --").append(name);
        for (const std::string& name : option->get_snames())
            names.append(names.empty() ? "-" : " -").append(name);
    }
    return names;
}

/// Within single quotes, as each of the three shells reads them.
std::string quoted(const std::string& text) {
    std::string inside;
    for (const char one : text) inside.append(one == '\'' ? "'\\''" : std::string(1, one));
    return "'" + inside + "'";
}

// zsh's own marks in a description.
std::string plain(std::string text) {
    for (char& one : text)
        if (one == '[' || one == ']' || one == ':') one = ' ';
    return text;
}

std::string for_bash(CLI::App& tool) {
    std::string names;
    std::string cases;
    for (const CLI::App* verb : verbs_of(tool)) {
        names.append(names.empty() ? "" : " ").append(verb->get_name());
        cases += "        " + verb->get_name() + ") options=" + quoted(options_of(*verb)) + " ;;\n";
    }
    return "# bash completion of sallyport-policy\n_sallyport_policy() {\n    local options='--help "
           "--version'\n"
           "    local word=${COMP_WORDS[COMP_CWORD]}\n    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then\n"
           "        mapfile -t COMPREPLY < <(compgen -W " +
           quoted(names + " --help --version") +
           " -- \"$word\")\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n" + cases +
           "    esac\n    if [[ $word == -* ]]; then\n        mapfile -t COMPREPLY < <(compgen -W "
           "\"$options\" -- "
           "\"$word\")\n    else\n        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n    fi\n}\n"
           "complete -o filenames -F _sallyport_policy sallyport-policy\n";
}

std::string for_zsh(CLI::App& tool) {
    std::string names;
    std::string cases;
    for (const CLI::App* verb : verbs_of(tool)) {
        names += "        " + quoted(verb->get_name() + ":" + plain(verb->get_description())) + "\n";
        cases += "        " + verb->get_name() + ") _arguments";
        for (const CLI::Option* option : verb->get_options()) {
            const std::string value = option->get_items_expected_max() == 0 ? "" : ":value:_files";
            for (const std::string& name : option->get_lnames())
                cases += " " + quoted("--" + name + "[" + plain(option->get_description()) + "]" + value);
        }
        cases += " '*:file:_files' ;;\n";
    }
    return "#compdef sallyport-policy\n_sallyport_policy() {\n    local -a verbs=(\n" + names +
           "    )\n    if ((CURRENT == 2)); then\n        _describe verb verbs\n        return\n    fi\n"
           "    local verb=$words[2]\n    shift words\n    ((CURRENT--))\n    case $verb in\n" +
           cases + "    esac\n}\n_sallyport_policy \"$@\"\n";
}

std::string for_fish(CLI::App& tool) {
    std::string text = "# fish completion of sallyport-policy\n";
    for (const CLI::App* verb : verbs_of(tool)) {
        const std::string name = verb->get_name();
        text += "complete -c sallyport-policy -n __fish_use_subcommand -f -a " + name + " -d " +
                quoted(verb->get_description()) + "\n";
        for (const CLI::Option* option : verb->get_options())
            for (const std::string& long_name : option->get_lnames())
                text += "complete -c sallyport-policy -n '__fish_seen_subcommand_from " + name + "' -l " +
                        long_name + (option->get_items_expected_max() == 0 ? "" : " -r") + " -d " +
                        quoted(option->get_description()) + "\n";
    }
    return text;
}

}  // namespace

Run declare_completion(CLI::App& command) {
    const auto shell = std::make_shared<std::string>();
    command.add_option("SHELL", *shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    CLI::App* const tool = command.get_parent();
    return [shell, tool] {
        print(*shell == "bash" ? for_bash(*tool) : *shell == "zsh" ? for_zsh(*tool) : for_fish(*tool));
        return kSuccess;
    };
}

}  // namespace sallyport::policy::cli
