/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay-buffer.h"
#include "relay-slab.h"

static void test_last_out_first_in(void **state) {
        BufferPool p;
        Buffer *a, *b;

        buffer_pool_init(&p, 1000);
        a = buffer_acquire(&p);
        b = buffer_acquire(&p);
        assert_true(a->capacity >= 1000);
        buffer_release(&p, a);
        buffer_release(&p, b);
        assert_ptr_equal(buffer_acquire(&p), b);
        assert_ptr_equal(buffer_acquire(&p), a);
        buffer_release(&p, a);
        buffer_release(&p, b);
        buffer_release(&p, NULL);
        assert_int_equal(p.n_used, 0);
        buffer_pool_done(&p);
        assert_int_equal(buffer_pool_bytes(&p), 0);
}

static void test_append_consume_compact(void **state) {
        BufferPool p;
        Buffer *b;

        buffer_pool_init(&p, 100);
        b = buffer_acquire(&p);
        assert_int_equal(buffer_append(b, "abcdef", 6), 0);
        assert_int_equal(buffer_filled(b), 6);
        buffer_consume(b, 2);
        assert_memory_equal(buffer_at(b), "cdef", 4);
        assert_int_equal(buffer_room(b), b->capacity - 6);
        buffer_compact(b);
        assert_int_equal(buffer_room(b), b->capacity - 4);
        assert_memory_equal(b->data, "cdef", 4);
        buffer_consume(b, 4);
        assert_int_equal(b->end, 0);
        buffer_release(&p, b);
        buffer_pool_done(&p);
}

static void test_append_is_all_or_nothing(void **state) {
        static const uint8_t bytes[8192];
        BufferPool p;
        Buffer *b;

        buffer_pool_init(&p, 100);
        b = buffer_acquire(&p);
        assert_int_equal(buffer_append(b, bytes, b->capacity), 0);
        assert_int_equal(buffer_append(b, bytes, 1), -ENOBUFS);
        buffer_consume(b, 1); /* room at the start is none before the buffer is compacted */
        assert_int_equal(buffer_append(b, bytes, 1), -ENOBUFS);
        buffer_compact(b);
        assert_int_equal(buffer_append(b, bytes, 2), -ENOBUFS);
        assert_int_equal(buffer_append(b, bytes, 1), 0);
        buffer_release(&p, b);
        buffer_pool_done(&p);
}

static void test_trim_gives_back_what_was_never_used(void **state) {
        BufferPool p;
        Buffer *b[8], *c;

        buffer_pool_init(&p, 100);
        for (unsigned i = 0; i < 8; i++)
                b[i] = buffer_acquire(&p);
        for (unsigned i = 0; i < 8; i++)
                buffer_release(&p, b[i]);
        buffer_pool_trim(&p); /* they were in use since the last time */
        assert_int_equal(p.n_free, 8);
        c = buffer_acquire(&p);
        buffer_release(&p, c);
        buffer_pool_trim(&p); /* seven were not */
        assert_int_equal(p.n_free, 4);
        for (unsigned i = 0; i < 4; i++)
                buffer_pool_trim(&p);
        assert_int_equal(p.n_free, 0);
        buffer_pool_done(&p);
}

static void test_resize(void **state) {
        BufferPool p;
        Buffer *small, *large;

        buffer_pool_init(&p, 100);
        small = buffer_acquire(&p);
        buffer_pool_resize(&p, 100000);
        large = buffer_acquire(&p);
        assert_true(large->capacity >= 100000);
        buffer_release(&p, small); /* of a size that is not used any more */
        assert_int_equal(p.n_free, 0);
        buffer_release(&p, large);
        assert_int_equal(p.n_free, 1);
        buffer_pool_done(&p);
}

static void test_buffer_of_a_size_of_its_own(void **state) {
        BufferPool p;
        Buffer *small, *large;

        buffer_pool_init(&p, 4096);
        small = buffer_acquire_size(&p, 10);
        large = buffer_acquire_size(&p, 100000);
        assert_non_null(large);
        assert_int_equal(small->capacity + sizeof(Buffer), p.region);
        assert_in_range(buffer_room(large), 100000, 110000);
        assert_int_equal(buffer_pool_bytes(&p), p.region + sizeof(Buffer) + large->capacity);
        memset(buffer_at(large), 'x', 100000);
        buffer_release(&p, large);
        assert_int_equal(buffer_pool_bytes(&p), p.region);
        buffer_release(&p, small);
        assert_int_equal(p.n_free, 1); /* the large one is not kept */
        buffer_pool_done(&p);
}

static void test_slab_keeps_the_dead_until_it_settles(void **state) {
        Slab s;
        int *a, *b;

        slab_init(&s, sizeof(int));
        a = slab_alloc(&s);
        *a = 42;
        slab_free(&s, a);
        b = slab_alloc(&s);
        assert_ptr_not_equal(a, b);
        assert_int_equal(*a, 42);
        slab_settle(&s);
        assert_ptr_equal(slab_alloc(&s), a);
        slab_free(&s, a);
        slab_free(&s, b);
        assert_int_equal(s.n_free, 2);
        slab_trim(&s, 2); /* nothing of what is dead */
        assert_int_equal(s.n_free, 2);
        slab_settle(&s);
        slab_trim(&s, 1);
        assert_int_equal(s.n_free, 1);
        slab_done(&s);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_last_out_first_in),
                cmocka_unit_test(test_append_consume_compact),
                cmocka_unit_test(test_append_is_all_or_nothing),
                cmocka_unit_test(test_trim_gives_back_what_was_never_used),
                cmocka_unit_test(test_resize),
                cmocka_unit_test(test_buffer_of_a_size_of_its_own),
                cmocka_unit_test(test_slab_keeps_the_dead_until_it_settles),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
