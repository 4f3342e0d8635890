/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

/*
 * From the a{sv} of GetAll() and its like into a struct, by a table. What is read borrows its texts from the
 * message; lists are allocated. Negative errno if a value has another type than the table says; properties
 * that are not in the table are passed over.
 */
typedef int (*PropertyReader)(sd_bus_message *m, void *field);

typedef struct Property {
        const char *name;
        PropertyReader read;
        size_t offset; /* of the field in the struct */
} Property;

int properties_read(sd_bus_message *m, const Property *properties, size_t n, void *object);

typedef struct Count {
        const char *name;
        uint64_t n;
} Count;

typedef struct Counts {
        Count *list;
        size_t n;
} Counts;

typedef struct Texts {
        const char **list;
        size_t n;
} Texts;

/* The field has the type that the reader is named for. */
int read_text(sd_bus_message *m, void *field); /* s: const char * */
int read_boolean(sd_bus_message *m, void *field); /* b: bool */
int read_u32(sd_bus_message *m, void *field);
int read_u64(sd_bus_message *m, void *field);
int read_texts(sd_bus_message *m, void *field); /* as: Texts */
int read_paths(sd_bus_message *m, void *field); /* ao: Texts */
int read_counts(sd_bus_message *m, void *field); /* a{st}: Counts */
int read_shares(sd_bus_message *m, void *field); /* a(su): Counts */

uint64_t counts_get(const Counts *c, const char *name);

/* Makes room for one more element of `size` bytes at the end of a list, zeroed; NULL if there is no memory.
 * `list` is the address of the pointer to the first. */
void *list_append(void *list, size_t *n, size_t size);

/* Reads an array of `contents`, each element by `read` into a new element of the list. */
int read_list(sd_bus_message *m, const char *contents, PropertyReader read, void *list, size_t *n,
              size_t size);
