/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "slot-case.h"

/* The transitions of slots and downstreams under the verifier; in tc programs, as engine.bpf.c. */

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct slot_script);
} script SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct slot_trace);
} trace SEC(".maps");

struct script_context {
        const struct slot_script *script;
        struct slot_trace *trace;
        struct sm_stack *unused;
};

static long script_step(__u32 i, void *context) {
        struct script_context *c = context;
        const struct slot_op *o;

        if (i >= SLOT_OPS || i >= c->script->n)
                return 1;
        o = &c->script->ops[i];
        c->trace->results[i] = slot_op_run(NULL, c->unused, o, &c->trace->hands[o->hand % SLOT_HANDS]);
        return 0;
}

SEC("tc")
int slot_script(struct __sk_buff *skb) {
        struct script_context c;
        __u32 zero = 0;

        c.script = bpf_map_lookup_elem(&script, &zero);
        c.trace = bpf_map_lookup_elem(&trace, &zero);
        c.unused = bpf_map_lookup_elem(&free_downstreams, &zero);
        if (!c.script || !c.trace || !c.unused)
                return 1;
        bpf_loop(SLOT_OPS, script_step, &c, 0);
        return 0;
}

/* Takes a slot and puts it back: to be run many times, while others do the same. */
SEC("tc")
int slot_cycle(struct __sk_buff *skb) {
        struct sm_stack *stack = sm_idle_entry(NULL, 1);
        __u32 zero = 0, i;
        struct slot_trace *out;
        struct sm_slot *s;
        __u64 word;

        out = bpf_map_lookup_elem(&trace, &zero);
        if (!out || !stack)
                return 1;
        i = sm_stack_pop(NULL, stack, SM_STACK_SLOTS, &word);
        s = i > 0 ? sm_slot_entry(NULL, i) : NULL;
        if (!s)
                return 0;
        if (!sm_slot_take(s, &word, SM_SLOT_TAKEN, 1))
                return 2;
        s->key.server_port++;
        out->taken++;
        return sm_slot_put_back(NULL, i, s, &word) ? 0 : 3;
}

char _license[] SEC("license") = "GPL";
