/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "policy-model.h"

/* Matches back into the words of the file: for people, and for the last good policies. */

/* Can stand there without quotes, and not be taken for anything else. */
static bool text_is_plain(const char *s) {
        size_t n;

        if (!isalnum((unsigned char) s[0]) && s[0] != '/')
                return false;
        for (n = 1; s[n] && n < 256; n++)
                if (!isalnum((unsigned char) s[n]) && !strchr("._/+-", s[n]))
                        return false;
        return !s[n];
}

/* Characters that YAML folds, or does not take, as they are; *ret is how many bytes it has. 0 = none of
 * them. */
static unsigned char_to_escape(const unsigned char *s, size_t *ret) {
        *ret = 1;
        if (s[0] < ' ' || s[0] == 0x7f)
                return s[0];
        *ret = 2;
        if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
                return s[1];
        *ret = 3;
        if (s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9)) /* line, paragraph separator */
                return 0x2000u | (s[2] & 0x3f);
        if (s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf)
                return 0xfeff;
        if (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe)
                return 0xffc0u | (s[2] & 0x3f);
        return 0;
}

void policy_text_print(const char *s, FILE *f) {
        size_t n;

        if (text_is_plain(s)) {
                fputs(s, f);
                return;
        }
        fputc('"', f);
        while (*s) {
                unsigned c = char_to_escape((const unsigned char *) s, &n);

                if (c > 0xff)
                        fprintf(f, "\\u%04x", c);
                else if (c == '\n')
                        fputs("\\n", f);
                else if (c > 0)
                        fprintf(f, "\\x%02x", c);
                else {
                        n = 1;
                        fprintf(f, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
                }
                s += n;
        }
        fputc('"', f);
}

static void print_range(const PolicyMatch *leaf, FILE *f) {
        fputs("{range: ", f);
        if (leaf->low > INT64_MIN)
                fprintf(f, "%" PRId64, leaf->low);
        fputs("..", f);
        if (leaf->high < INT64_MAX)
                fprintf(f, "%" PRId64, leaf->high);
        fputc('}', f);
}

static void print_form(const char *form, const char *text, FILE *f) {
        fprintf(f, "{%s: ", form);
        policy_text_print(text, f);
        fputc('}', f);
}

static void print_suffix(const PolicyMatch *leaf, FILE *f) {
        if (leaf->kind == SM_MATCH_HOST)
                fprintf(f, "\"*%s\"", leaf->text);
        else
                print_form("suffix", leaf->text, f);
}

static void print_leaf(const PolicyMatch *leaf, bool numbers, FILE *f) {
        char fraction[FRACTION_STRLEN];

        if (leaf->kind == SM_MATCH_FRACTION) {
                fputs(fraction_to_string((unsigned) leaf->low, fraction), f);
                return;
        }
        if (leaf->kind == SM_MATCH_USER && numbers) {
                fprintf(f, "%" PRId64, leaf->low);
                return;
        }
        switch (leaf->op) {
        case SM_OP_PREFIX:
                print_form("prefix", leaf->text, f);
                break;
        case SM_OP_SUFFIX:
                print_suffix(leaf, f);
                break;
        case SM_OP_PRESENT:
                fprintf(f, "{present: %s}", leaf->absent ? "false" : "true");
                break;
        case SM_OP_RANGE:
                print_range(leaf, f);
                break;
        case SM_OP_REGEX:
                print_form("regex", leaf->text, f);
                break;
        default:
                policy_text_print(leaf->text, f);
        }
}

/* Whose words `m` is in: of what stands in a list the first's. */
static unsigned kind_of(const PolicyMatch *m) {
        return m->join == MATCH_LEAF ? m->kind : kind_of(&m->children[0]);
}

static const PolicyMatch *first_leaf(const PolicyMatch *m) {
        return m->join == MATCH_LEAF ? m : first_leaf(&m->children[0]);
}

static void print_caller(const PolicyMatch *m, bool numbers, FILE *f) {
        static const char *const keys[_SM_MATCH_MAX] = {
                [SM_MATCH_SLICE] = "slice", [SM_MATCH_UNIT] = "unit", [SM_MATCH_USER] = "user",
        };

        for (size_t i = 0; i < m->n_children; i++) {
                fprintf(f, "%s%s: ", i > 0 ? ", " : "{", keys[m->children[i].kind]);
                print_leaf(&m->children[i], numbers, f);
        }
        fputc('}', f);
}

static void print_value(const PolicyMatch *m, bool numbers, FILE *f) {
        if (m->join == MATCH_VALUES) {
                for (size_t i = 0; i < m->n_children; i++) {
                        fputs(i > 0 ? ", " : "[", f);
                        print_value(&m->children[i], numbers, f);
                }
                fputc(']', f);
        } else if (m->join == MATCH_CALLER)
                print_caller(m, numbers, f);
        else if (m->kind == SM_MATCH_USER) {
                fputs("{user: ", f);
                print_leaf(m, numbers, f);
                fputc('}', f);
        } else
                print_leaf(m, numbers, f);
}

/* The run of children from `i` on that are of one kind with a name each, as a mapping; where it ends. */
static size_t print_named(const PolicyMatch *m, size_t i, bool numbers, FILE *f) {
        unsigned kind = kind_of(&m->children[i]);
        const char *separator = "{";

        for (; i < m->n_children && m->children[i].join >= MATCH_VALUES && kind_of(&m->children[i]) == kind;
             i++) {
                fputs(separator, f);
                policy_text_print(first_leaf(&m->children[i])->name, f);
                fputs(": ", f);
                print_value(&m->children[i], numbers, f);
                separator = ", ";
        }
        fputc('}', f);
        return i;
}

static bool is_of_body(const PolicyMatch *m) {
        return m->join >= MATCH_VALUES && kind_of(m) >= SM_MATCH_CONTENT;
}

static size_t print_body(const PolicyMatch *m, size_t i, bool numbers, FILE *f) {
        unsigned first = first_leaf(&m->children[i])->first;
        const char *separator = "{";

        fputs("body: ", f);
        if (first != SM_BODY_LOOK_MAX) {
                fprintf(f, "{first: %u", first);
                separator = ", ";
        }
        while (i < m->n_children && is_of_body(&m->children[i])) {
                unsigned kind = kind_of(&m->children[i]);

                fputs(separator, f);
                separator = ", ";
                if (kind == SM_MATCH_CONTENT) {
                        fputs("contains: ", f);
                        print_value(&m->children[i++], numbers, f);
                } else {
                        fputs(kind == SM_MATCH_JSON ? "json: " : "form: ", f);
                        i = print_named(m, i, numbers, f);
                }
        }
        fputc('}', f);
        return i;
}

static void print_list(const PolicyMatch *m, bool numbers, FILE *f) {
        for (size_t i = 0; i < m->n_children; i++) {
                fputs(i > 0 ? ", " : "[", f);
                policy_match_print(&m->children[i], numbers, f);
        }
        fputc(']', f);
}

/* One key with all that stands under it; the index of what is next. */
static size_t print_key(const PolicyMatch *m, size_t i, bool numbers, FILE *f) {
        static const char *const keys[_SM_MATCH_MAX] = {
                [SM_MATCH_HOST] = "host", [SM_MATCH_PATH] = "path", [SM_MATCH_METHOD] = "method",
                [SM_MATCH_HEADER] = "headers", [SM_MATCH_COOKIE] = "cookies", [SM_MATCH_QUERY] = "query",
                [SM_MATCH_SLICE] = "callers", [SM_MATCH_UNIT] = "callers", [SM_MATCH_USER] = "callers",
                [SM_MATCH_SOURCE] = "source", [SM_MATCH_FRACTION] = "fraction",
        };
        const PolicyMatch *child = &m->children[i];
        unsigned kind;

        switch (child->join) {
        case MATCH_NOT:
                fputs("not: ", f);
                policy_match_print(&child->children[0], numbers, f);
                return i + 1;
        case MATCH_ALL:
        case MATCH_ANY:
                fputs(child->join == MATCH_ALL ? "all: " : "any: ", f);
                print_list(child, numbers, f);
                return i + 1;
        }
        if (is_of_body(child))
                return print_body(m, i, numbers, f);
        kind = kind_of(child);
        fprintf(f, "%s: ", keys[kind]);
        if (kind == SM_MATCH_HEADER || kind == SM_MATCH_COOKIE || kind == SM_MATCH_QUERY)
                return print_named(m, i, numbers, f);
        print_value(child, numbers, f);
        return i + 1;
}

static void print_keys(const PolicyMatch *m, bool numbers, FILE *f) {
        for (size_t i = 0; i < m->n_children;) {
                fputs(i > 0 ? ", " : "", f);
                i = print_key(m, i, numbers, f);
        }
}

void policy_match_print(const PolicyMatch *m, bool numbers, FILE *f) {
        fputc('{', f);
        print_keys(m, numbers, f);
        fputc('}', f);
}

int policy_match_format(const PolicyMatch *match, char **ret) {
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        if (match)
                print_keys(match, false, f);
        else
                fputs("any request", f);
        if (fclose(f) < 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}

const char *fraction_to_string(unsigned fraction, char buffer[static FRACTION_STRLEN]) {
        const unsigned percent = POLICY_WHOLE / 100;
        unsigned rest = fraction % percent;
        char *end;

        end = buffer + snprintf(buffer, FRACTION_STRLEN, "%u", fraction / percent % 1000);
        if (rest > 0) {
                end += snprintf(end, FRACTION_STRLEN - 4, ".%06u", rest);
                while (end[-1] == '0')
                        end--;
        }
        memcpy(end, "%", 2);
        return buffer;
}
