/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stacks of src/engine/engine-stack.h: what is in one is popped once, though whoever pops may be interrupted
 * between any two steps, and what it has read may be long out of date when it goes on.
 *
 * Three actors pop what they find and push it back, a few times. A head is an index and a tag.
 */

#define N_ACTORS 3
#define N_NODES 3 /* 1 ... N_NODES */
#define N_ROUNDS 2 /* of each actor: a pop and a push */

byte head, tag, next[N_NODES + 1];
bool in_use[N_NODES + 1];
byte n_done;

inline swap_head(to) {
        d_step {
#ifdef BREAK_TAG
                won = head == seen;
#else
                won = head == seen && tag == seen_tag;
#endif
                if
                :: won -> head = to; tag++
                :: else
                fi
        }
}

proctype Actor() {
        byte seen, seen_tag, below, mine, rounds;
        bool won;

        do
        :: rounds == N_ROUNDS -> break
        :: else ->
                rounds++;
                do
                :: atomic { seen = head; seen_tag = tag };
                   if
                   :: seen == 0 -> won = false; break
                   :: else
                   fi;
                   below = next[seen];
                   swap_head(below);
                   if
                   :: atomic { won -> mine = seen; assert(!in_use[mine]); in_use[mine] = true }; break
                   :: else
                   fi
                od;
                if
                :: won ->
                        do
                        :: atomic { in_use[mine] = false; seen = head; seen_tag = tag };
                           next[mine] = seen;
                           swap_head(mine);
                           if
                           :: won -> break
                           :: else
                           fi
                        od
                :: else
                fi;
                atomic { seen = 0; seen_tag = 0; below = 0; mine = 0; won = false }
        od;
        n_done++
}

/* Nobody is left: all nodes are there, once. */
proctype Judge() {
        byte n, at;

        n_done == N_ACTORS;
        at = head;
        do
        :: at != 0 ->
                assert(!in_use[at]);
                in_use[at] = true;
                n++;
                at = next[at]
        :: else -> break
        od;
        assert(n == N_NODES)
}

init {
        atomic {
                next[2] = 1; next[3] = 2; head = 3;
                run Actor(); run Actor(); run Actor(); run Judge()
        }
}
