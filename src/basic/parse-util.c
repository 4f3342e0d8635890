/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cleanup.h"
#include "macro.h"
#include "parse-util.h"
#include "time-util.h"

typedef struct Unit {
        const char *text;
        uint64_t factor;
} Unit;

static const Unit duration_units[] = {
        { "us", 1 },
        { "ms", USEC_PER_MSEC },
        { "s", USEC_PER_SEC },
        { "m", USEC_PER_MINUTE },
        { "min", USEC_PER_MINUTE },
        { "h", USEC_PER_HOUR },
        { "d", 24 * USEC_PER_HOUR },
};

static const Unit size_units[] = {
        { "", 1 },
        { "B", 1 },
        { "K", UINT64_C(1) << 10 },
        { "KiB", UINT64_C(1) << 10 },
        { "M", UINT64_C(1) << 20 },
        { "MiB", UINT64_C(1) << 20 },
        { "G", UINT64_C(1) << 30 },
        { "GiB", UINT64_C(1) << 30 },
};

static const Unit *find_unit(const Unit *units, size_t n, const char *s, size_t length) {
        for (size_t i = 0; i < n; i++)
                if (strlen(units[i].text) == length && strncmp(units[i].text, s, length) == 0)
                        return &units[i];
        return NULL;
}

static int parse_digits(const char **s, uint64_t *ret) {
        const char *p = *s;
        uint64_t value = 0;

        if (!isdigit((unsigned char) *p) || (*p == '0' && isdigit((unsigned char) p[1])))
                return -EINVAL;
        for (; isdigit((unsigned char) *p); p++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (*p - '0'), &value))
                        return -ERANGE;
        *s = p;
        *ret = value;
        return 0;
}

/* ".25" of one `factor`; refused unless it is a whole number of the smallest unit. */
static int parse_fraction(const char **s, uint64_t factor, uint64_t *ret) {
        const char *p = *s;
        uint64_t value = 0;

        if (!isdigit((unsigned char) p[1]))
                return -EINVAL;
        for (p++; isdigit((unsigned char) *p); p++) {
                if (factor % 10 != 0)
                        return -EINVAL;
                factor /= 10;
                value += (uint64_t) (*p - '0') * factor;
        }
        *s = p;
        *ret = value;
        return 0;
}

int parse_unsigned(const char *s, uint64_t *ret) {
        uint64_t value;
        int r;

        r = parse_digits(&s, &value);
        if (r < 0)
                return r;
        if (*s)
                return -EINVAL;
        *ret = value;
        return 0;
}

/* One number with its unit; *s moves behind it. */
static int parse_quantity(const char **s, const Unit *units, size_t n, uint64_t *ret) {
        const char *p = *s, *fraction = NULL;
        uint64_t value, part = 0;
        const Unit *unit;
        size_t length;
        int r;

        r = parse_digits(&p, &value);
        if (r < 0)
                return r;
        if (*p == '.') {
                fraction = p++;
                p += strspn(p, "0123456789");
        }
        length = strcspn(p, "0123456789.");
        unit = find_unit(units, n, p, length);
        if (!unit)
                return -EINVAL;
        if (fraction) {
                r = parse_fraction(&fraction, unit->factor, &part);
                if (r < 0)
                        return r;
        }
        if (__builtin_mul_overflow(value, unit->factor, &value) ||
            __builtin_add_overflow(value, part, &value))
                return -ERANGE;
        *s = p + length;
        *ret = value;
        return 0;
}

int parse_duration(const char *s, uint64_t *ret_usec) {
        uint64_t sum = 0, part;
        int r;

        if (streq(s, "0")) {
                *ret_usec = 0;
                return 0;
        }
        do {
                r = parse_quantity(&s, duration_units, ELEMENTSOF(duration_units), &part);
                if (r < 0)
                        return r;
                if (__builtin_add_overflow(sum, part, &sum))
                        return -ERANGE;
        } while (*s);
        *ret_usec = sum;
        return 0;
}

int parse_size(const char *s, uint64_t *ret) {
        uint64_t value;
        int r;

        r = parse_quantity(&s, size_units, ELEMENTSOF(size_units), &value);
        if (r < 0)
                return r;
        if (*s)
                return -EINVAL;
        *ret = value;
        return 0;
}

int parse_percent(const char *s, unsigned *ret_permille) {
        static const Unit percent = { "%", 10 };
        uint64_t value;
        int r;

        r = parse_quantity(&s, &percent, 1, &value);
        if (r < 0)
                return r;
        if (*s)
                return -EINVAL;
        if (value > 1000)
                return -ERANGE;
        *ret_permille = (unsigned) value;
        return 0;
}

int parse_boolean(const char *s, bool *ret) {
        if (streq(s, "true") || streq(s, "yes"))
                *ret = true;
        else if (streq(s, "false") || streq(s, "no"))
                *ret = false;
        else
                return -EINVAL;
        return 0;
}

int parse_port(const char *s, uint16_t *ret) {
        uint64_t value;
        int r;

        r = parse_unsigned(s, &value);
        if (r < 0)
                return r;
        if (value == 0 || value > UINT16_MAX)
                return -ERANGE;
        *ret = (uint16_t) value;
        return 0;
}

static struct in6_addr map_ipv4(uint32_t address) {
        struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

        mapped.s6_addr32[3] = address;
        return mapped;
}

int parse_address(const char *s, struct in6_addr *ret) {
        struct in_addr v4;
        struct in6_addr v6;

        if (inet_pton(AF_INET, s, &v4) == 1)
                *ret = map_ipv4(v4.s_addr);
        else if (inet_pton(AF_INET6, s, &v6) == 1)
                *ret = v6;
        else
                return -EINVAL;
        return 0;
}

/* Whether bits behind the prefix are set. */
static bool has_bits_behind(const struct in6_addr *a, unsigned prefix) {
        for (unsigned i = prefix; i < 128; i++)
                if (a->s6_addr[i / 8] & (0x80 >> i % 8))
                        return true;
        return false;
}

int parse_prefix(const char *s, struct in6_addr *ret, unsigned *ret_prefix) {
        const char *slash = strchrnul(s, '/');
        char text[INET6_ADDRSTRLEN];
        struct in6_addr address;
        uint64_t prefix;
        unsigned before;
        int r;

        if ((size_t) (slash - s) >= sizeof(text))
                return -EINVAL;
        *(char *) mempcpy(text, s, (size_t) (slash - s)) = 0;
        r = parse_address(text, &address);
        if (r < 0)
                return r;
        before = strchr(text, ':') ? 0 : 96;
        prefix = 128 - before;
        if (*slash) {
                r = parse_unsigned(slash + 1, &prefix);
                if (r < 0)
                        return r;
                if (prefix > 128 - before)
                        return -ERANGE;
        }
        if (has_bits_behind(&address, before + (unsigned) prefix))
                return -EINVAL;
        *ret = address;
        *ret_prefix = before + (unsigned) prefix;
        return 0;
}

int parse_network(const char *s, struct in6_addr *ret, unsigned *ret_prefix) {
        struct in6_addr network;
        unsigned prefix;
        int r;

        if (!strchr(s, '/') || strchr(s, ':'))
                return -EINVAL;
        r = parse_prefix(s, &network, &prefix);
        if (r < 0)
                return r;
        *ret = network;
        *ret_prefix = prefix - 96;
        return 0;
}

bool host_name_is_valid(const char *s) {
        size_t label = 0, n = 0;

        for (; s[n]; n++) {
                unsigned char c = (unsigned char) s[n];

                if (c == '.') {
                        if (label == 0)
                                return false;
                        label = 0;
                } else if ((isascii(c) && isalnum(c)) || c == '-' || c == '_') {
                        if (++label > 63)
                                return false;
                } else
                        return false;
        }
        return n > 0 && n <= 253 && label > 0;
}

/* Numbers and dots that inet_pton() refused, say 10.1.0.300 or 1.2.3, are a slip, not a name. */
static bool looks_like_address(const char *s) {
        return s[strspn(s, "0123456789.")] == 0;
}

int parse_host_port(const char *s, char **ret_host, struct in6_addr *ret_address, uint16_t *ret_port) {
        const char *colon = strrchr(s, ':'), *start = s, *end = colon;
        _cleanup_free_ char *host = NULL;
        struct in6_addr address = {};
        uint16_t port;
        int r;

        if (!colon)
                return -EINVAL;
        r = parse_port(colon + 1, &port);
        if (r < 0)
                return r;
        if (*s == '[') {
                if (end[-1] != ']')
                        return -EINVAL;
                start++;
                end--;
        }
        host = strndup(start, (size_t) (end - start));
        if (!host)
                return -ENOMEM;
        if (*s == '[') {
                if (!strchr(host, ':') || parse_address(host, &address) < 0)
                        return -EINVAL;
                free(TAKE_PTR(host));
        } else if (!strchr(host, ':') && parse_address(host, &address) >= 0)
                free(TAKE_PTR(host));
        else if (!host_name_is_valid(host) || looks_like_address(host))
                return -EINVAL;
        *ret_host = TAKE_PTR(host);
        *ret_address = address;
        *ret_port = port;
        return 0;
}

const char *address_to_string(const struct in6_addr *address, char buffer[static ADDRESS_STRLEN]) {
        if (IN6_IS_ADDR_V4MAPPED(address))
                return inet_ntop(AF_INET, &address->s6_addr32[3], buffer, ADDRESS_STRLEN);
        return inet_ntop(AF_INET6, address, buffer, ADDRESS_STRLEN);
}

const char *address_port_to_string(const struct in6_addr *address, uint16_t port,
                                   char buffer[static ADDRESS_PORT_STRLEN]) {
        char text[ADDRESS_STRLEN];

        snprintf(buffer, ADDRESS_PORT_STRLEN, IN6_IS_ADDR_V4MAPPED(address) ? "%s:%u" : "[%s]:%u",
                 address_to_string(address, text), port);
        return buffer;
}

const char *duration_to_string(uint64_t usec, char buffer[static DURATION_STRLEN]) {
        static const Unit exact[] = {
                { "h", USEC_PER_HOUR }, { "m", USEC_PER_MINUTE }, { "s", USEC_PER_SEC },
                { "ms", USEC_PER_MSEC }, { "us", 1 },
        };
        size_t i = 0;

        if (usec == 0)
                return strcpy(buffer, "0");
        while (usec % exact[i].factor != 0)
                i++;
        snprintf(buffer, DURATION_STRLEN, "%" PRIu64 "%s", usec / exact[i].factor, exact[i].text);
        return buffer;
}

const char *size_to_string(uint64_t size, char buffer[static SIZE_STRLEN]) {
        static const Unit exact[] = {
                { "G", UINT64_C(1) << 30 }, { "M", UINT64_C(1) << 20 }, { "K", UINT64_C(1) << 10 }, { "", 1 },
        };
        size_t i = 0;

        while (size % exact[i].factor != 0 || size < exact[i].factor) {
                if (exact[i].factor == 1)
                        break;
                i++;
        }
        snprintf(buffer, SIZE_STRLEN, "%" PRIu64 "%s", size / exact[i].factor, exact[i].text);
        return buffer;
}
