# Completion for bash: verbs and options as the tool's own help lists them, files for everything else.
_sallyport_policy() {
    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} listed
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        listed=$(sallyport-policy --help 2>/dev/null | sed -n '1,/^Subcommands:/d; s/^  \([a-z-]*\) .*/\1/p')
    elif [[ $word == -* ]]; then
        listed=$(sallyport-policy "$verb" --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*' | sort -u)
    else
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$listed" -- "$word")
}
complete -o default -F _sallyport_policy sallyport-policy
