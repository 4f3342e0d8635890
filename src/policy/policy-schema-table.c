/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../abi/abi-limits.h"
#include "../basic/time-util.h"
#include "policy-model.h"
#include "policy-parse.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define CELLS(bytes) ((bytes) / SM_CELL_SIZE)
#define UNSUPPORTED(where, key) { .place = where, .type = TYPE_UNSUPPORTED, .name = key }
#define IN(type, member) .offset = offsetof(type, member)

/* Within a place, a key's parser may rely on the keys above it. */
const SchemaKey schema_keys[] = {
        { PLACE_MESH, TYPE_OTHER, "slices", "a list of slices", .parse = parse_slices, IN(PolicyMesh, slices),
          .doc = "The managed slices: connections that processes in them open to a service are governed." },
        { PLACE_MESH, TYPE_OTHER, "vip-range", "an IPv4 network", .parse = parse_vip_range,
          .standard = "127.71.0.0/16",
          .doc = "Where services without an address get theirs from. Addresses below 127.0.0.0/8 never "
                 "leave the host: while the mesh is off, a call fails at once." },
        { PLACE_MESH, TYPE_SECTION, "relay", .section = PLACE_RELAY,
          .doc = "The process that carries http traffic." },
        { PLACE_MESH, TYPE_SECTION, "fast-path", .section = PLACE_FAST_PATH,
          .doc = "The kernel serving requests itself, on connections where that is possible." },
        { PLACE_MESH, TYPE_SECTION, "caps", .section = PLACE_CAPS,
          .doc = "How much there can be of everything; memory for it is set aside when slicemeshd starts." },

        { PLACE_RELAY, TYPE_PORT, "port", IN(PolicyMesh, relay_port), .standard = "7471",
          .doc = "Of 127.0.0.1 and ::1, where callers are sent to." },
        { PLACE_RELAY, TYPE_UNSIGNED, "workers", IN(PolicyMesh, relay_workers), .max = SM_WORKERS_MAX,
          .standard = "0", .doc = "Threads; 0 is one for each CPU." },
        { PLACE_RELAY, TYPE_UNSIGNED, "max-connections", IN(PolicyMesh, max_connections), .min = 1,
          .max = 1000000, .standard = "8192",
          .doc = "Connections of callers at once; more are refused as overloaded." },
        { PLACE_RELAY, TYPE_SIZE, "max-head", IN(PolicyMesh, max_head), .unit = 1, .min = 1 * KIB,
          .max = SM_HEAD_MAX, .standard = "16K", .doc = "The longest head of a request or response." },
        { PLACE_RELAY, TYPE_SIZE, "buffer", IN(PolicyMesh, max_buffer), .unit = 1,
          .min = SM_BUFFER_MIN, .max = SM_BUFFER_MAX, .standard = "32K",
          .doc = "What one direction of one exchange may hold before its sender has to wait." },
        { PLACE_RELAY, TYPE_DURATION, "drain", IN(PolicyMesh, drain_usec), .max = USEC_PER_HOUR,
          .standard = "30s", .doc = "How long a relay that is stopped finishes what is in flight." },

        { PLACE_FAST_PATH, TYPE_BOOLEAN, "enabled", IN(PolicyMesh, fast), .standard = "true",
          .doc = "Use it. A change takes effect at once, on open connections too." },
        { PLACE_FAST_PATH, TYPE_UNSIGNED, "connections", IN(PolicyMesh, fast_connections), .min = 1,
          .max = 65535, .standard = "768",
          .doc = "Connections of callers at once, 14 KiB each; the relay serves what is more." },
        { PLACE_FAST_PATH, TYPE_UNSIGNED, "upstreams", IN(PolicyMesh, fast_upstreams), .min = 1, .max = 65535,
          .standard = "1024",
          .doc = "Pooled connections to endpoints that it may use at once, 10 KiB each." },

        { PLACE_CAPS, TYPE_UNSIGNED, "services", IN(PolicyMesh, max_services), .min = 1, .max = 100000,
          .standard = "512", .doc = "Services." },
        { PLACE_CAPS, TYPE_UNSIGNED, "endpoints", IN(PolicyMesh, max_endpoints), .min = 1, .max = 1000000,
          .standard = "4096", .doc = "Addresses of endpoints, of all services together." },
        { PLACE_CAPS, TYPE_UNSIGNED, "subsets", IN(PolicyMesh, max_subsets), .min = 1, .max = 1000000,
          .standard = "2048", .doc = "Subsets of all services together." },
        { PLACE_CAPS, TYPE_UNSIGNED, "routes", IN(PolicyMesh, max_routes), .min = 1, .max = 4000000,
          .standard = "4096", .doc = "Routes of all services together." },
        { PLACE_CAPS, TYPE_SIZE, "memory", IN(PolicyMesh, max_cells), .unit = SM_CELL_SIZE,
          .min = CELLS(1 * MIB), .max = CELLS(4 * GIB), .standard = "2M",
          .doc = "Memory of compiled policies; during a change the old and the new one both need theirs." },

        { PLACE_SERVICE, TYPE_NAME, "service", .required = true, IN(PolicyService, name),
          .doc = "The service's name." },
        { PLACE_SERVICE, TYPE_ENUM, "protocol", "http or tcp", IN(PolicyService, protocol),
          .values = protocol_names, .standard = "http",
          .doc = "What the callers speak. `http` is balanced by request, `tcp` by connection." },
        { PLACE_SERVICE, TYPE_PORT, "port", IN(PolicyService, port), .standard = "80",
          .doc = "Beside an address that is allocated." },
        { PLACE_SERVICE, TYPE_OTHER, "address", "an address and port",
          .parse = parse_service_address,
          .doc = "Where callers connect to. Without it an address in `vip-range` is allocated, once and for "
                 "ever, and never given to another name. Addresses of real servers may be captured too." },
        { PLACE_SERVICE, TYPE_OTHER, "callers", "a list of slices", .parse = parse_slices,
          IN(PolicyService, callers),
          .doc = "Slices that may call the service. Without it: all managed slices." },
        { PLACE_SERVICE, TYPE_OTHER, "endpoints", "a list of endpoints", .parse = parse_shorthand,
          .doc = "Short for the endpoints of a single subset, `default`; cannot stand beside `subsets`." },
        { PLACE_SERVICE, TYPE_OTHER, "balance", "as in a subset", .parse = parse_shorthand,
          .doc = "The same for its `balance`." },
        { PLACE_SERVICE, TYPE_OTHER, "hash", "as in a subset", .parse = parse_shorthand,
          .doc = "The same for its `hash`." },
        { PLACE_SERVICE, TYPE_OTHER, "subsets", "a mapping of names to subsets", .parse = parse_subsets,
          .doc = "Groups of endpoints that routes send to." },
        { PLACE_SERVICE, TYPE_OTHER, "routes", "a list of routes", .parse = parse_routes,
          .doc = "The first that matches decides. Without it everything goes to the only subset." },
        { PLACE_SERVICE, TYPE_OTHER, "adjust-routes", "a mapping of routes to changes",
          .parse = parse_adjust_routes,
          .doc = "Changes where routes go without repeating the list; meant for drop-ins. `shift` and "
                 "`swap` write such." },
        { PLACE_SERVICE, TYPE_SECTION, "paths", .section = PLACE_PATHS,
          .doc = "What is done about the many ways to write one path; `http` only." },
        { PLACE_SERVICE, TYPE_SECTION, "timeouts", .section = PLACE_TIMEOUTS,
          .doc = "How long is waited for what; `http` only." },
        { PLACE_SERVICE, TYPE_UNSIGNED, "connect-attempts", IN(PolicyService, attempts), .min = 1, .max = 16,
          .standard = "3",
          .doc = "How many endpoints are tried before the request fails, while no byte of it was sent; "
                 "`http` only." },
        { PLACE_SERVICE, TYPE_BOOLEAN, "via", IN(PolicyService, via), .standard = "false",
          .doc = "Add to the Via field, of requests and responses; `http` only." },
        { PLACE_SERVICE, TYPE_BOOLEAN, "forwarded-for", IN(PolicyService, forwarded_for), .standard = "false",
          .doc = "Add the caller's address to X-Forwarded-For; `http` only." },
        { PLACE_SERVICE, TYPE_ENUM, "accelerate", IN(PolicyService, accelerate), .values = accelerate_names,
          .standard = "auto",
          .doc = "Whether the kernel may serve requests: on non-blocking connections (`auto`), on "
                 "blocking ones too, where a signal can interrupt a read in spite of SA_RESTART (`always`), "
                 "or not at all (`never`); `http` only." },
        UNSUPPORTED(PLACE_SERVICE, "limits"),
        UNSUPPORTED(PLACE_SERVICE, "health"),
        UNSUPPORTED(PLACE_SERVICE, "breaker"),
        UNSUPPORTED(PLACE_SERVICE, "retry"),
        UNSUPPORTED(PLACE_SERVICE, "shadow"),

        { PLACE_TIMEOUTS, TYPE_DURATION, "connect", IN(PolicyService, connect_timeout_usec),
          .min = USEC_PER_MSEC, .max = 10 * USEC_PER_MINUTE, .standard = "2s",
          .doc = "For one attempt to connect to an endpoint." },
        { PLACE_TIMEOUTS, TYPE_DURATION, "idle", IN(PolicyService, idle_timeout_usec), .min = USEC_PER_MSEC,
          .max = 24 * USEC_PER_HOUR, .standard = "5m",
          .doc = "For a caller's next request, and for the next byte through an upgraded connection." },
        { PLACE_TIMEOUTS, TYPE_DURATION, "pool-idle", IN(PolicyService, pool_idle_usec), .min = USEC_PER_MSEC,
          .max = 24 * USEC_PER_HOUR, .standard = "4s",
          .doc = "How long a connection to an endpoint is kept for the next request. Should be less than "
                 "the endpoint itself waits; Node.js closes after 5 s." },

        { PLACE_SUBSET, TYPE_OTHER, "endpoints", "a list of endpoints", .parse = parse_endpoints,
          .required = true,
          .doc = "Each one `address:port`, `name:port` or a mapping. IPv6 addresses stand in brackets. A "
                 "name is resolved by its TTL and stands for all its addresses. The list may be empty." },
        { PLACE_SUBSET, TYPE_ENUM, "balance", IN(PolicySubset, balance), .values = balance_names,
          .standard = "round-robin",
          .doc = "How requests are spread, by weight in every case: in turn, at random, to the less busy of "
                 "two at random, or by the value that `hash` names, the same one to the same endpoint." },
        { PLACE_SUBSET, TYPE_OTHER, "hash", "source, a header or a cookie", .parse = parse_hash,
          .doc = "What `consistent-hash` goes by: `source` (the default; the caller's address and unit), "
                 "`{header: NAME}` or `{cookie: NAME}`. A request that lacks it is balanced at random." },
        { PLACE_SUBSET, TYPE_OTHER, "adjust", "a mapping of listed endpoints to changes",
          .parse = parse_adjust,
          .doc = "Changes endpoints without repeating the list; meant for drop-ins." },

        { PLACE_HASH, TYPE_OTHER, "header", "a field name", .parse = parse_hash_header,
          .doc = "The value of this header field." },
        { PLACE_HASH, TYPE_OTHER, "cookie", "a cookie's name", .parse = parse_hash_cookie,
          .doc = "The value of this cookie." },

        { PLACE_ENDPOINT, TYPE_OTHER, "address", "address:port or name:port",
          .parse = parse_endpoint_address, .required = true, .doc = "Where it listens." },
        { PLACE_ENDPOINT, TYPE_UNSIGNED, "weight", IN(PolicyEndpoint, weight), .max = SM_WEIGHT_MAX,
          .standard = "1", .doc = "Its share in relation to the others; 0 gets nothing." },
        { PLACE_ENDPOINT, TYPE_ENUM, "state", IN(PolicyEndpoint, admin), .values = endpoint_admin_names,
          .standard = "enabled",
          .doc = "`drain`: no new requests, those in flight finish. `disabled`: as if it were not listed." },

        { PLACE_ADJUST, TYPE_UNSIGNED, "weight", IN(PolicyEndpoint, weight), .max = SM_WEIGHT_MAX,
          .doc = "In place of the endpoint's own." },
        { PLACE_ADJUST, TYPE_ENUM, "state", IN(PolicyEndpoint, admin), .values = endpoint_admin_names,
          .doc = "In place of the endpoint's own." },

        { PLACE_ADJUST_ROUTE, TYPE_OTHER, "to", "a subset's name", .parse = parse_to,
          .doc = "In place of the route's own `to` or `split`." },
        { PLACE_ADJUST_ROUTE, TYPE_OTHER, "split", "a mapping of subsets to shares", .parse = parse_split,
          .doc = "The same." },
        { PLACE_ADJUST_ROUTE, TYPE_OTHER, "mirror", "a subset's name", .parse = parse_adjust_mirror,
          .doc = "In place of the `to` of the route's `mirror`." },

        { PLACE_PATHS, TYPE_ENUM, "normalize", IN(PolicyService, normalize_paths), .values = normalize_names,
          .standard = "auto",
          .doc = "Whether a path is brought into its normal form, below, before it is matched and sent on. "
                 "`auto`: if some route looks at the path or rewrites it." },
        { PLACE_PATHS, TYPE_ENUM, "encoded-slash", IN(PolicyService, encoded_slash), .values = encoded_names,
          .standard = "refuse",
          .doc = "What becomes of a request with `%2F` or `%5C` in its path, where paths are normalized: "
                 "some servers take it for a slash and others do not. Refused with status 400, or kept as "
                 "it is." },
        { PLACE_PATHS, TYPE_ENUM, "encoded-nul", IN(PolicyService, encoded_nul), .values = encoded_names,
          .standard = "refuse", .doc = "Likewise with `%00`, at which some servers think the path ends." },

        { PLACE_ROUTE, TYPE_NAME, "name", IN(PolicyRoute, name),
          .doc = "For people, counters and `explain`. Without it: `route-N`, counted from 1." },
        { PLACE_ROUTE, TYPE_OTHER, "match", "a mapping, below", .parse = parse_match,
          .doc = "What a request must be like, in every point. Without it: any request. Of a `tcp` service "
                 "there are only `callers` and `fraction` to go by." },
        { PLACE_ROUTE, TYPE_OTHER, "to", "a subset's name", .parse = parse_to,
          .doc = "Where it goes. Either this, `split`, `redirect` or `respond` must be given." },
        { PLACE_ROUTE, TYPE_OTHER, "split", "a mapping of subsets to shares", .parse = parse_split,
          .doc = "Shares of several subsets: all weights (0 to 1000), or all percentages that make 100%." },
        { PLACE_ROUTE, TYPE_OTHER, "split-by", "round-robin, random, source, a header or a cookie",
          .parse = parse_split_by,
          .doc = "How the shares of `split` are dealt out: exactly in turn (`round-robin`, the default), at "
                 "random, or sticky by the caller (`source`), `{header: NAME}` or `{cookie: NAME}`: the "
                 "same value goes to the same subset as long as the shares stay, and as few as possible "
                 "move when they change. A request that lacks it goes at random." },
        { PLACE_ROUTE, TYPE_OTHER, "rewrite", "a mapping, below", .parse = parse_rewrite,
          .doc = "What the endpoint gets in place of parts of the request; `http` only, as all that "
                 "follows." },
        { PLACE_ROUTE, TYPE_OTHER, "request-headers", "a mapping, below", .parse = parse_request_headers,
          .doc = "Changes header fields of the request before it is sent." },
        { PLACE_ROUTE, TYPE_OTHER, "response-headers", "a mapping, below", .parse = parse_response_headers,
          .doc = "Changes header fields of the response." },
        { PLACE_ROUTE, TYPE_OTHER, "redirect", "a mapping, below", .parse = parse_redirect,
          .doc = "Answer with another place to go to, instead of an endpoint." },
        { PLACE_ROUTE, TYPE_OTHER, "respond", "a mapping, below", .parse = parse_respond,
          .doc = "Answer with this, instead of an endpoint." },
        { PLACE_ROUTE, TYPE_OTHER, "mirror", "a mapping, below", .parse = parse_mirror,
          .doc = "Send a copy of the requests to another subset as well, whose answers go nowhere." },
        { PLACE_ROUTE, TYPE_OTHER, "fault", "a mapping, below", .parse = parse_fault,
          .doc = "Make requests wait, or fail: to see what becomes of the callers." },
        { PLACE_ROUTE, TYPE_BOOLEAN, "shadow", IN(PolicyRoute, shadow),
          .doc = "Only count the requests that match, and go on with the next route. At most 32 routes of a "
                 "service." },
        { PLACE_ROUTE, TYPE_DURATION, "timeout", IN(PolicyRoute, timeout_usec), .max = 24 * USEC_PER_HOUR,
          .standard = "0", .doc = "For the whole request; 0 is none; `http` only." },
        UNSUPPORTED(PLACE_ROUTE, "retry"),
        UNSUPPORTED(PLACE_ROUTE, "limits"),
        UNSUPPORTED(PLACE_ROUTE, "accelerate"),

        { PLACE_MATCH, TYPE_OTHER, "host", "a host name, or *. and a domain; or a list",
          .parse = parse_match_host,
          .doc = "The request's Host, without port, in any case. `*.example.com` is every name below it. "
                 "Of a list, here and elsewhere, any will do." },
        { PLACE_MATCH, TYPE_OTHER, "path", "a path, a mapping or a list", .parse = parse_match_path,
          .doc = "The path without query, byte by byte. A text alone is short for `exact`." },
        { PLACE_MATCH, TYPE_OTHER, "method", "a method or a list", .parse = parse_match_method,
          .doc = "The request's method; case counts." },
        { PLACE_MATCH, TYPE_OTHER, "headers", "a mapping of field names to values",
          .parse = parse_match_headers,
          .doc = "Header fields, by their names in any case. Of several fields of a name one is enough." },
        { PLACE_MATCH, TYPE_OTHER, "cookies", "a mapping of cookies to values",
          .parse = parse_match_cookies,
          .doc = "Cookies, in all Cookie fields." },
        { PLACE_MATCH, TYPE_OTHER, "query", "a mapping of parameters to values",
          .parse = parse_match_query,
          .doc = "Parameters of the query, decoded: `%41` is A, `+` is a space." },
        { PLACE_MATCH, TYPE_OTHER, "callers", "a slice, a unit, a mapping or a list",
          .parse = parse_match_callers,
          .doc = "Who calls: a managed slice (or any below it) or a unit by its name, alone or together "
                 "with a user." },
        { PLACE_MATCH, TYPE_OTHER, "source", "an address or a network; or a list", .parse = parse_match_source,
          .doc = "The caller's address." },
        { PLACE_MATCH, TYPE_OTHER, "fraction", "a percentage", .parse = parse_match_fraction,
          .doc = "So many of the requests, at random, to a millionth of a percent." },
        { PLACE_MATCH, TYPE_OTHER, "body", "a mapping, below", .parse = parse_match_body,
          .doc = "What is in the request's body. The request waits until as much of it has arrived as the "
                 "answer takes." },
        { PLACE_MATCH, TYPE_OTHER, "all", "a list of matches", .parse = parse_match_all,
          .doc = "Each of these holds." },
        { PLACE_MATCH, TYPE_OTHER, "any", "a list of matches", .parse = parse_match_any,
          .doc = "One of these holds." },
        { PLACE_MATCH, TYPE_OTHER, "not", "a match", .parse = parse_match_not,
          .doc = "This does not hold." },

        { PLACE_PATH, TYPE_OTHER, "exact", "a path", .parse = parse_value_exact, .doc = "This path." },
        { PLACE_PATH, TYPE_OTHER, "prefix", "a path", .parse = parse_value_prefix,
          .doc = "This path and what is below it: `/v2` is `/v2` and `/v2/x`, not `/v20`." },
        { PLACE_PATH, TYPE_OTHER, "suffix", "the end of a path", .parse = parse_value_suffix,
          .doc = "Paths that end so." },
        { PLACE_PATH, TYPE_OTHER, "regex", "a regular expression", .parse = parse_value_regex,
          .doc = "As of a value, below." },

        { PLACE_VALUE, TYPE_OTHER, "exact", "a text", .parse = parse_value_exact,
          .doc = "This text, byte by byte. A text alone is short for it." },
        { PLACE_VALUE, TYPE_OTHER, "prefix", "a text", .parse = parse_value_prefix,
          .doc = "Begins with it." },
        { PLACE_VALUE, TYPE_OTHER, "suffix", "a text", .parse = parse_value_suffix, .doc = "Ends with it." },
        { PLACE_VALUE, TYPE_OTHER, "regex", "a regular expression", .parse = parse_value_regex,
          .doc = "Perl's, over bytes, found anywhere unless `^` and `$` say otherwise; `(?i)` in front "
                 "ignores case. It takes the relay to look." },
        { PLACE_VALUE, TYPE_OTHER, "present", "true or false", .parse = parse_value_present,
          .doc = "It is there, whatever its value; or it is not." },
        { PLACE_VALUE, TYPE_OTHER, "range", "two numbers, like 1..100", .parse = parse_value_range,
          .doc = "The whole value is a decimal number from the first to the second; `1..` and `..100` are "
                 "open to one side." },

        { PLACE_CALLER, TYPE_OTHER, "slice", "a slice", .parse = parse_caller_slice_key,
          .doc = "In this managed slice, or one below it." },
        { PLACE_CALLER, TYPE_OTHER, "unit", "a unit", .parse = parse_caller_unit_key,
          .doc = "In the unit of this name, like cart.service." },
        { PLACE_CALLER, TYPE_OTHER, "user", "a user's name or number", .parse = parse_caller_user_key,
          .doc = "Of this user; a name stands for the number that it has when the policy is loaded." },

        { PLACE_BODY, TYPE_SIZE, "first", IN(BodyTarget, first), .unit = 1, .min = 1, .max = SM_BODY_LOOK_MAX,
          .standard = "16K", .doc = "How much of the body is looked at." },
        { PLACE_BODY, TYPE_OTHER, "json", "a mapping of JSON pointers to values",
          .parse = parse_body_json,
          .doc = "Strings, numbers and literals in a JSON document, by pointers (RFC 6901) like "
                 "`/user/tier`." },
        { PLACE_BODY, TYPE_OTHER, "form", "a mapping of fields to values",
          .parse = parse_body_form,
          .doc = "Fields of an `application/x-www-form-urlencoded` body, decoded." },
        { PLACE_BODY, TYPE_OTHER, "contains", "a text or a list", .parse = parse_body_contains,
          .doc = "This text is in it." },

        { PLACE_REWRITE, TYPE_OTHER, "prefix", "a path", .parse = parse_new_prefix,
          IN(PolicyActions, rewrite_prefix),
          .doc = "In place of the path, or of its prefix, that `match` has among its top keys; what is "
                 "behind the prefix stays, with exactly one slash in between." },
        { PLACE_REWRITE, TYPE_OTHER, "host", "a host name", .parse = parse_new_host,
          IN(PolicyActions, rewrite_host), .doc = "In place of Host." },

        { PLACE_EDITS, TYPE_OTHER, "remove", "a list of field names", .parse = parse_edits_remove,
          .doc = "These are taken out." },
        { PLACE_EDITS, TYPE_OTHER, "set", "a mapping of field names to values", .parse = parse_edits_set,
          .doc = "These take the place of all of their name." },
        { PLACE_EDITS, TYPE_OTHER, "add", "a mapping of field names to values or lists of them",
          .parse = parse_edits_add,
          .doc = "These come beside those of their name. Fields of the connection and those that frame a "
                 "message (Connection, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding, "
                 "Upgrade, Content-Length, Expect) and Host cannot be edited." },

        { PLACE_REDIRECT, TYPE_OTHER, "status", "301, 302, 303, 307 or 308", .parse = parse_redirect_status,
          .standard = "302", .doc = "307 and 308 have the method kept; 301 and 308 are for ever." },
        { PLACE_REDIRECT, TYPE_OTHER, "url", "a URL", .parse = parse_redirect_url, IN(PolicyAnswer, url),
          .doc = "Exactly there. Without it, what else is given here changes, and the rest of path and "
                 "query stays." },
        { PLACE_REDIRECT, TYPE_OTHER, "prefix", "a path", .parse = parse_new_prefix, IN(PolicyAnswer, prefix),
          .doc = "As of `rewrite`." },
        { PLACE_REDIRECT, TYPE_OTHER, "host", "a host name", .parse = parse_new_host, IN(PolicyAnswer, host),
          .doc = "With a port if need be. Without it the request's own." },
        { PLACE_REDIRECT, TYPE_OTHER, "scheme", "http or https", .parse = parse_redirect_scheme,
          IN(PolicyAnswer, scheme), .doc = "Beside `host`; without it `http`." },

        { PLACE_RESPOND, TYPE_UNSIGNED, "status", .required = true, IN(PolicyAnswer, status), .min = 200,
          .max = 599, .doc = "Of the answer." },
        { PLACE_RESPOND, TYPE_OTHER, "body", "a text", .parse = parse_text, IN(PolicyAnswer, body),
          .doc = "Of the answer; not with status 204 and 304." },
        { PLACE_RESPOND, TYPE_OTHER, "content-type", "a media type", .parse = parse_content_type,
          IN(PolicyAnswer, content_type), .doc = "Of the body. Without it: `text/plain; charset=utf-8`." },
        { PLACE_RESPOND, TYPE_OTHER, "headers", "a mapping of field names to values or lists of them",
          .parse = parse_answer_headers, .doc = "More fields." },

        { PLACE_MIRROR, TYPE_OTHER, "to", "a subset's name", .required = true, .parse = parse_mirror_to,
          .doc = "Which subset gets the copies." },
        { PLACE_MIRROR, TYPE_OTHER, "fraction", "a percentage", .parse = parse_fraction,
          IN(PolicyActions, mirror_fraction), .standard = "100%", .doc = "Of so many of the requests." },
        { PLACE_MIRROR, TYPE_SIZE, "body", IN(PolicyActions, mirror_max), .unit = 1, .max = SM_MIRROR_MAX,
          .standard = "64K", .doc = "Requests with a longer body are not mirrored." },

        { PLACE_FAULT, TYPE_OTHER, "delay", "a mapping, below", .parse = parse_fault_delay,
          .doc = "Wait before anything else is done." },
        { PLACE_FAULT, TYPE_OTHER, "abort", "a mapping, below", .parse = parse_fault_abort,
          .doc = "Answer with an error, marked as `X-Slicemesh: fault-injected`." },

        { PLACE_DELAY, TYPE_DURATION, "for", .required = true, IN(PolicyActions, delay_usec),
          .min = USEC_PER_MSEC, .max = 10 * USEC_PER_MINUTE, .doc = "How long." },
        { PLACE_DELAY, TYPE_OTHER, "fraction", "a percentage", .parse = parse_fraction,
          IN(PolicyActions, delay_fraction), .standard = "100%", .doc = "Of so many of the requests." },

        { PLACE_ABORT, TYPE_UNSIGNED, "status", .required = true, IN(PolicyAnswer, status), .min = 200,
          .max = 599, .doc = "Of the answer." },
        { PLACE_ABORT, TYPE_OTHER, "fraction", "a percentage", .parse = parse_fraction,
          IN(PolicyAnswer, fraction), .standard = "100%", .doc = "Of so many of the requests." },
        { PLACE_ABORT, TYPE_OTHER, "body", "a text", .parse = parse_text, IN(PolicyAnswer, body),
          .doc = "As of `respond`." },
        { PLACE_ABORT, TYPE_OTHER, "content-type", "a media type", .parse = parse_content_type,
          IN(PolicyAnswer, content_type), .doc = "As of `respond`." },
};

const size_t n_schema_keys = sizeof(schema_keys) / sizeof(schema_keys[0]);
