# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of slicemeshctl for bash.

# The column of a list, or nothing if slicemeshd does not run.
__slicemeshctl_names() {
        local kind=$1 columns=$2
        slicemeshctl list "$kind" --no-legend --no-pager 2>/dev/null | awk "{ print $columns }"
}

# [SUBSET/]ENDPOINT of a service.
__slicemeshctl_endpoints() {
        slicemeshctl list endpoints --no-legend --no-pager 2>/dev/null |
                awk -v service="$1" '$1 == service { print $2 "/" $3; print $3 }' | sort -u
}

__slicemeshctl_subsets() {
        slicemeshctl list endpoints --no-legend --no-pager 2>/dev/null |
                awk -v service="$1" '$1 == service { print $2 }' | sort -u
}

# The objects of a list in `show --json`, by the key of their names.
__slicemeshctl_routes() {
        slicemeshctl show "$1" --json 2>/dev/null | sed -n 's/^ *"route": "\(.*\)",$/\1/p'
}

_slicemeshctl() {
        local verbs='status list show monitor trace reasons set-weight drain enable set-balance shift swap fast-path check explain
                     reload'
        local options='--help --version --json --no-pager --no-legend --persist --no-ask-password --root
                       --offline --from --user --source --header --body --route
                       --service --count'
        local balances='round-robin random least-request consistent-hash'
        local cur prev words cword verb='' service='' i words_seen=0

        _init_completion -n : || return
        for ((i = 1; i < cword; i++)); do
                case ${words[i]} in
                --root | --offline | --from | --user | --source) ((i++)) ;;
                --header | -H | --body | --route | --service | --count) ((i++)) ;;
                -*) ;;
                *)
                        ((words_seen++))
                        [[ $words_seen -eq 1 ]] && verb=${words[i]}
                        [[ $words_seen -eq 2 ]] && service=${words[i]}
                        ;;
                esac
        done

        case $prev in
        --root | --offline)
                _filedir -d
                return
                ;;
        --from)
                COMPREPLY=($(compgen -W "$(__slicemeshctl_names slices '$1')" -- "$cur"))
                return
                ;;
        --route)
                COMPREPLY=($(compgen -W "$(__slicemeshctl_routes "$service")" -- "$cur"))
                return
                ;;
        --service)
                COMPREPLY=($(compgen -W "$(__slicemeshctl_names services '$1')" -- "$cur"))
                return
                ;;
        --header | -H | --count)
                return
                ;;
        esac
        if [[ $cur == -* ]]; then
                COMPREPLY=($(compgen -W "$options" -- "$cur"))
                return
        fi

        case $verb:$words_seen in
        :*) COMPREPLY=($(compgen -W "$verbs" -- "$cur")) ;;
        list:1) COMPREPLY=($(compgen -W 'services endpoints slices' -- "$cur")) ;;
        show:1)
                COMPREPLY=($(compgen -W "$(__slicemeshctl_names services '$1')
                                         $(__slicemeshctl_names slices '$1')" -- "$cur"))
                ;;
        set-weight:1 | drain:1 | enable:1 | set-balance:1 | shift:1 | swap:1)
                COMPREPLY=($(compgen -W "$(__slicemeshctl_names services '$1')" -- "$cur"))
                ;;
        set-weight:2 | drain:* | enable:*)
                COMPREPLY=($(compgen -W "$(__slicemeshctl_endpoints "$service")" -- "$cur"))
                __ltrimcolon_completions "$cur"
                ;;
        shift:*)
                COMPREPLY=($(compgen -S = -W "$(__slicemeshctl_subsets "$service")" -- "$cur"))
                compopt -o nospace 2>/dev/null
                ;;
        swap:[23]) COMPREPLY=($(compgen -W "$(__slicemeshctl_subsets "$service")" -- "$cur")) ;;
        set-balance:[23]) COMPREPLY=($(compgen -W "$balances" -- "$cur")) ;;
        fast-path:1) COMPREPLY=($(compgen -W 'on off' -- "$cur")) ;;
        check:1) _filedir -d ;;
        explain:*) COMPREPLY=($(compgen -W 'GET HEAD POST PUT DELETE PATCH' -- "$cur")) ;;
        esac
}

complete -F _slicemeshctl slicemeshctl
