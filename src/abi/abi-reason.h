/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Why a request or connection was refused, failed, or took the slower way: one list for counters,
 * the X-Slicemesh header, the bus, the journal and the manual. New entries go before the end of their
 * group; the numbers are not stable across SM_ABI_VERSION, the texts are.
 *
 * X(identifier, text, HTTP status of a local reply or 0 where none is sent, sentence for people)
 */
#define SM_REASONS(X)                                                                                    \
        X(NONE, "none", 0, "Nothing to report.")                                                         \
        /* the request head; the connection is closed after the reply */                                \
        X(BAD_REQUEST_LINE, "bad-request-line", 400, "The request line is not METHOD TARGET VERSION.")   \
        X(BAD_VERSION, "bad-version", 505, "The HTTP version is neither 1.0 nor 1.1.")                   \
        X(BAD_TARGET, "bad-target", 400, "The request target is in no form that RFC 9112 allows here.")  \
        X(BAD_FIELD_NAME, "bad-field-name", 400, "A field name is empty or has a character that is no token.") \
        X(BAD_FIELD_VALUE, "bad-field-value", 400, "A field value contains a control character.")        \
        X(BARE_LF, "bare-lf", 400, "A line of the head ends in LF without CR, or has a CR without LF.")  \
        X(OBS_FOLD, "obs-fold", 400, "A header field is continued on a folded line.")                    \
        X(SPACE_BEFORE_COLON, "space-before-colon", 400, "White space stands between field name and colon.") \
        X(BAD_LENGTH, "bad-length", 400, "Content-Length is not a decimal number.")                      \
        X(DUPLICATE_LENGTH, "duplicate-length", 400, "There is more than one Content-Length.")           \
        X(LENGTH_AND_CHUNKED, "length-and-chunked", 400, "Both Content-Length and Transfer-Encoding are given.") \
        X(BAD_TRANSFER_ENCODING, "bad-transfer-encoding", 400, "Transfer-Encoding is something else than chunked, once, last.") \
        X(BAD_CHUNK, "bad-chunk", 400, "The chunked body is malformed.")                                 \
        X(BAD_HOST, "bad-host", 400, "Host is missing, given twice, or not a host.")                     \
        X(HEAD_TOO_LARGE, "head-too-large", 431, "The request head is larger than allowed.")             \
        X(TOO_MANY_FIELDS, "too-many-fields", 431, "The request has more header fields than allowed.")   \
        X(BAD_EXPECT, "bad-expect", 417, "Expect asks for something else than 100-continue.")            \
        X(BAD_UPGRADE, "bad-upgrade", 400, "An upgrade is asked for in a way that cannot be tunnelled.") \
        X(CONNECT_METHOD, "connect-method", 405, "The CONNECT method is not served here.")               \
        X(NO_HOPS, "no-hops", 200, "Max-Forwards ends OPTIONS or TRACE here, at the relay of slicemesh.") \
        X(AMBIGUOUS_PATH, "ambiguous-path", 400, "The path has a bad or ambiguous escape (slash, backslash, NUL).") \
        X(REQUEST_TIMEOUT, "request-timeout", 408, "The request did not arrive in time.")                \
        /* the policy */                                                                                 \
        X(NO_SERVICE, "no-service", 503, "The connection belongs to no service that is in force.")       \
        X(NO_ROUTE, "no-route", 404, "No route of the service matches the request.")                     \
        X(NO_ENDPOINT, "no-endpoint", 503, "The chosen subset has no endpoint to send to.")              \
        X(REDIRECTED, "redirected", 0, "The route answers with a redirect.")                             \
        X(ANSWERED, "answered", 0, "The route answers by itself.")                                       \
        X(FAULT_INJECTED, "fault-injected", 0, "The route's fault injection has ended the request.")     \
        X(CALLER_UNKNOWN, "caller-unknown", 0, "A connection to the relay did not come through a managed slice.") \
        X(CALLER_REFUSED, "caller-refused", 0, "The caller's slice is not among the service's callers.") \
        X(REGEX_LIMIT, "regex-limit", 0, "A regular expression took too long over a request, and counted as no match.") \
        X(FOREIGN_NETNS, "foreign-netns", 0, "The caller is in another network namespace than the mesh.") \
        /* the upstream */                                                                               \
        X(CONNECT_FAILED, "connect-failed", 503, "No endpoint that was tried accepted a connection.")    \
        X(CONNECT_TIMEOUT, "connect-timeout", 504, "No endpoint that was tried accepted a connection in time.") \
        X(UPSTREAM_CLOSED, "upstream-closed", 502, "The endpoint closed the connection before its response was complete.") \
        X(UPSTREAM_RESET, "upstream-reset", 502, "The endpoint reset the connection before its response was complete.") \
        X(UPSTREAM_BAD_HEAD, "upstream-bad-head", 502, "The endpoint's response head is malformed.")     \
        X(UPSTREAM_BAD_BODY, "upstream-bad-body", 502, "The endpoint's response body is malformed.")     \
        X(UPSTREAM_HEAD_TOO_LARGE, "upstream-head-too-large", 502, "The endpoint's response head is larger than allowed.") \
        X(UPSTREAM_TIMEOUT, "upstream-timeout", 504, "The endpoint did not answer in time.")             \
        X(RETRIED, "retried", 0, "Another endpoint was tried before any byte was sent.")                 \
        /* the downstream */                                                                             \
        X(CLIENT_ABORTED, "client-aborted", 0, "The client went away before its response was complete.") \
        X(IDLE_CLOSED, "idle-closed", 0, "A keep-alive connection was closed after its idle time.")      \
        /* the relay itself */                                                                           \
        X(OVERLOADED, "overloaded", 503, "The relay is at its limit of connections or memory.")          \
        X(SHUTTING_DOWN, "shutting-down", 503, "The relay is shutting down.")                            \
        X(INTERNAL, "internal", 500, "The relay met a condition that it cannot explain; this is a bug.")

enum sm_reason {
#define SM_REASON_ENUM(id, text, status, sentence) SM_REASON_##id,
        SM_REASONS(SM_REASON_ENUM)
#undef SM_REASON_ENUM
        _SM_REASON_MAX,
};

/* Room that counters leave for reasons to come: values of BPF arrays cannot grow. */
#define SM_REASON_SLOTS 128
_Static_assert(_SM_REASON_MAX <= SM_REASON_SLOTS, "raise SM_REASON_SLOTS");
