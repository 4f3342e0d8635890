#compdef slicemeshctl
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of slicemeshctl for zsh.

(( $+functions[_slicemeshctl_services] )) || _slicemeshctl_services() {
        local -a names
        names=(${(f)"$(slicemeshctl list services --no-legend --no-pager 2>/dev/null | awk '{ print $1 }')"})
        _describe -t services service names
}

(( $+functions[_slicemeshctl_slices] )) || _slicemeshctl_slices() {
        local -a names
        names=(${(f)"$(slicemeshctl list slices --no-legend --no-pager 2>/dev/null | awk '{ print $1 }')"})
        _describe -t slices slice names
}

(( $+functions[_slicemeshctl_services_and_slices] )) || _slicemeshctl_services_and_slices() {
        _slicemeshctl_services
        _slicemeshctl_slices
}

# [SUBSET/]ENDPOINT of the service that was named before.
(( $+functions[_slicemeshctl_endpoints] )) || _slicemeshctl_endpoints() {
        local -a names
        names=(${(f)"$(slicemeshctl list endpoints --no-legend --no-pager 2>/dev/null |
                awk -v service="${line[1]}" '$1 == service { print $2 "/" $3; print $3 }' | sort -u)"})
        compadd -a names
}

(( $+functions[_slicemeshctl_subsets] )) || _slicemeshctl_subsets() {
        local -a names
        names=(${(f)"$(slicemeshctl list endpoints --no-legend --no-pager 2>/dev/null |
                awk -v service="${line[1]}" '$1 == service { print $2 }' | sort -u)"})
        compadd $@ -a names
}

(( $+functions[_slicemeshctl_shares] )) || _slicemeshctl_shares() {
        _slicemeshctl_subsets -S =
}

(( $+functions[_slicemeshctl_routes] )) || _slicemeshctl_routes() {
        local -a names
        names=(${(f)"$(slicemeshctl show "${line[1]}" --json 2>/dev/null |
                sed -n 's/^ *"route": "\(.*\)",$/\1/p')"})
        compadd -a names
}

local -a verbs options output table change
verbs=(
        'status:Show the state of the mesh at a glance'
        'list:List services, endpoints or slices'
        'show:Show all there is to know of a service'
        'monitor:Follow changes until interrupted'
        'trace:Follow the requests of a service'
        'reasons:Explain all reasons that are counted'
        'set-weight:Change the weight of an endpoint'
        'drain:Send endpoints no new requests'
        'enable:Send endpoints requests again'
        'set-balance:Change how a subset is balanced'
        'shift:Change how a route is split'
        'swap:Exchange two subsets in all routes'
        'fast-path:Switch the fast path on or off'
        'check:Check the policy files'
        'explain:Tell where a request would go, and why'
        'reload:Put the policy files in force'
)
options=('(-h --help)'{-h,--help}'[Show the help]')
output=($options '--json[Print JSON, for programs]' '--no-pager[Do not pipe the output into a pager]')
table=($output '--no-legend[Print no titles of columns]')
change=($options '--persist[Keep the change over a reboot]' '--no-ask-password[Do not ask for authentication]')

local curcontext=$curcontext state
local -a line
_arguments -C $options '--version[Show the version]' '1:verb:->verb' '*::argument:->argument'
case $state in
verb)
        _describe -t verbs verb verbs
        ;;
argument)
        curcontext=${curcontext%:*:*}:slicemeshctl-${words[1]}:
        case ${words[1]} in
        status|reasons) _arguments $table ;;
        list) _arguments $table '1:kind:(services endpoints slices)' ;;
        show) _arguments $table '1:service or slice:_slicemeshctl_services_and_slices' ;;
        trace)
                _arguments $options '--json[Print JSON, for programs]' \
                        '--no-ask-password[Do not ask for authentication]' \
                        '--service=[The service to trace]:service:_slicemeshctl_services' \
                        '--count=[Stop after so many requests]:number:'
                ;;
        monitor) _arguments $options '--json[Print JSON, for programs]' ;;
        set-weight)
                _arguments $change '1:service:_slicemeshctl_services' '2:endpoint:_slicemeshctl_endpoints' \
                        '3:weight:'
                ;;
        drain|enable)
                _arguments $change '1:service:_slicemeshctl_services' '*:endpoint:_slicemeshctl_endpoints'
                ;;
        set-balance)
                _arguments $change '1:service:_slicemeshctl_services' \
                        '*:balance:(round-robin random least-request consistent-hash)'
                ;;
        shift)
                _arguments $change '--json[Print JSON, for programs]' \
                        '--route=[The route to change]:route:_slicemeshctl_routes' \
                        '1:service:_slicemeshctl_services' '*:share:_slicemeshctl_shares'
                ;;
        swap)
                _arguments $change '--json[Print JSON, for programs]' '1:service:_slicemeshctl_services' \
                        '2:subset:_slicemeshctl_subsets' '3:subset:_slicemeshctl_subsets'
                ;;
        fast-path) _arguments $options '--no-ask-password[Do not ask for authentication]' '1:state:(on off)' ;;
        check) _arguments $table '--root=[Look for the policy below this directory]:directory:_files -/' \
                '1:directory:_files -/' ;;
        explain)
                _arguments $output '--root=[Look for the policy below this directory]:directory:_files -/' \
                        '--offline=[Ask the policy in a directory, not slicemeshd]:directory:_files -/' \
                        '--from=[The slice, unit or SLICE/UNIT it comes from]:slice:_slicemeshctl_slices' \
                        '--user=[The user that it comes from]:user:_users' \
                        '--source=[The address that it comes from]:address:' \
                        '--body=[The body; @FILE or - (standard input) to read it]:body:' \
                        '*'{-H,--header=}'[A header field]:field:' \
                        '1:method or URL:(GET HEAD POST PUT DELETE PATCH)' '2:URL:_urls'
                ;;
        reload) _arguments $options '--json[Print JSON, for programs]' \
                '--no-ask-password[Do not ask for authentication]' ;;
        esac
        ;;
esac
