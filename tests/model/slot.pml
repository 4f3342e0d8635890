/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may answer a request, and when: the protocol that docs/fast-path.md tells, with the states of
 * src/abi/abi-slot.h and the transitions of src/engine/engine-slot.h and engine-downstream.h under their names.
 *
 * For each client: its socket D, and the relay's end A with what the relay does for it. For each server: its
 * socket S, and the relay's end U. For each slot: what the relay does for it. A program gives its verdict first
 * and the bytes move afterwards; in between anybody else may run, for any length of time. What dies, dies
 * between two system calls: a call that has begun comes to its end, whoever is killed.
 *
 * A response has two parts, each sent by a call of its own. Everything is bounded, so every run ends, and what
 * must be true in the end is asserted when nobody can move any more.
 *
 * run-model.py sets the sizes and, one at a time, the mistakes (BREAK_*) that must be found and the events
 * (REACH_*) that must be possible.
 */

#ifndef VERDICT
#define VERDICT 1 /* D has a stream verdict: one queue, by arrival. 0: what was redirected is read first */
#endif
#ifndef STRAYS
#define STRAYS 0 /* messages that servers send unasked */
#endif
#ifndef RELAY_DIES
#define RELAY_DIES 0
#endif
#if RELAY_DIES
#define UNLESS_DEAD unless { relay_dead }
#else
#define UNLESS_DEAD /* an unless costs the search its best reduction */
#endif
#ifndef KINDS
#define KINDS 3 /* of responses: SMALL; LARGE as well; TOO_LONG as well */
#endif
#ifndef IDLE_CLOSES
#define IDLE_CLOSES 0 /* the relay closes connections of callers that have nothing outstanding */
#endif
#ifndef FAULTS
#define FAULTS 0 /* how many times somebody dies, or the relay loses patience. 0: only the right answers will do */
#endif
#ifndef DEATHS
#define DEATHS 1 /* 0: nobody dies, and the relay loses patience with the kernel alone */
#endif

/* enum sm_slot_state */
#define SM_SLOT_UNUSED 0
#define SM_SLOT_FREE 1
#define SM_SLOT_TAKEN 2
#define SM_SLOT_WAITING 3
#define SM_SLOT_RESPONDING 4
#define SM_SLOT_RELAY 5
#define SM_SLOT_DEAD 6
#define SM_SLOT_GONE 7

/* enum sm_downstream_state */
#define SM_DOWNSTREAM_CLOSED 0
#define SM_DOWNSTREAM_IDLE 1
#define SM_DOWNSTREAM_KERNEL 2
#define SM_DOWNSTREAM_RELAY 3

/* What is owed of a response, in parts: of a slot in state RELAY. */
#define SM_REMAINING_ALL 2

/* A message: the request that it answers, and which part. */
#define FIRST 1
#define LAST 2
#define WHOLE 3 /* the relay's own answer */
#define STRAY 63
#define MESSAGE(request, part) ((request) * 4 + (part))
#define REQUEST(message) ((message) / 4)
#define PART(message) ((message) % 4)

/* What a server makes of a request. */
#define SMALL 0    /* what it announces is what it sends, and the kernel may move it */
#define LARGE 1    /* nothing for the kernel */
#define TOO_LONG 2 /* its last part is longer than was announced */

typedef Slot {
        byte state, generation, remaining; /* one word */
        byte downstream, server;
}
/* A generation tells the connection from the slot's others, and the turn from the connection's others. */
#ifdef BREAK_TURN
#define NEXT_TURN(g) (g)
#else
#define NEXT_TURN(g) ((g) % 4 == 3 -> (g) - 3 : (g) + 1)
#endif
#define CONNECTION(g) ((g) / 4)
typedef Downstream {
        byte state, slot, generation; /* one word */
        byte written, answered, request;
        bool held;
}
Slot slot[N_SLOTS];
Downstream downstream[N_CLIENTS];

/* The idle stack; how it is done without a lock is in stack.pml. */
byte stack[N_SLOTS];
byte n_stack;

/* The sockets. */
bool d_open[N_CLIENTS], a_open[N_CLIENTS], s_open[N_SERVERS], u_open[N_SERVERS];
bool hung_up[N_SERVERS]; /* U saw that S closed */
byte sent[N_CLIENTS], received[N_CLIENTS], unread[N_CLIENTS]; /* messages of D's TCP connection */
chan to_a[N_CLIENTS] = [N_REQUESTS] of { byte };
chan to_d[N_CLIENTS] = [2 * N_REQUESTS] of { byte };
chan tcp_queue[N_CLIENTS] = [2 * N_REQUESTS] of { byte };
chan ingress[N_CLIENTS] = [4 * N_REQUESTS] of { byte, bool }; /* true: came by TCP */
chan to_s[N_SERVERS] = [2] of { byte };
chan to_u[N_SERVERS] = [5] of { byte };

byte n_bound, slot_of[N_SERVERS], connection_of[N_SERVERS];
byte n_faults, n_strays, n_done;
bool relay_dead;
#ifdef REACH
byte by_kernel, by_relay;
bool continued, taken_over, found, rebound;
#define NOTE(event) event
#else
#define NOTE(event) skip
#endif

#define IS(s, st, g) (slot[s].state == st && slot[s].generation == (g))

#if N_SLOTS == 1
#define ALL_UNUSED (slot[0].state == SM_SLOT_UNUSED)
#else
#define ALL_UNUSED (slot[0].state == SM_SLOT_UNUSED && slot[1].state == SM_SLOT_UNUSED)
#endif

#define DEATH DEATHS && n_faults < FAULTS -> n_faults++

/* Of two slots at most. */
#define IN_STACK(s) ((n_stack > 0 && stack[0] == s) || (n_stack > 1 && stack[1] == s))

#define ANSWERED_BY(c, s, g) (downstream[c].state == SM_DOWNSTREAM_KERNEL && \
                              downstream[c].slot == s && downstream[c].generation == (g))

/* Each of these is one operation on shared memory. */

inline stack_push(s) {
        d_step {
                assert(n_stack < N_SLOTS);
                assert(!IN_STACK(s));
                stack[n_stack] = s;
                n_stack++
        }
}
inline stack_pop(s) {
        d_step {
                if
                :: n_stack > 0 -> n_stack--; s = stack[n_stack]; stack[n_stack] = 0
                :: else -> s = N_SLOTS
                fi
        }
}
inline swap(s, from, g, to, r, won) {
        d_step {
                if
#ifdef BREAK_GENERATION
                :: slot[s].state == from ->
#else
                :: IS(s, from, g) ->
#endif
                        slot[s].state = to; slot[s].remaining = r; won = true
                :: else -> won = false
                fi
        }
}
/* The same where nobody else can be first, or where it does not matter. */
inline move(s, from, g, to) {
        d_step {
                if
#ifdef BREAK_GENERATION
                :: slot[s].state == from -> slot[s].state = to; slot[s].remaining = 0
#else
                :: IS(s, from, g) -> slot[s].state = to; slot[s].remaining = 0
#endif
                :: else
                fi
        }
}
/* Of who has popped the slot: D's program to TAKEN, the relay to RELAY. */
inline sm_slot_take(s, g, to, won) {
        d_step {
                g = slot[s].generation;
                if
                :: IS(s, SM_SLOT_FREE, g) ->
                        g = NEXT_TURN(g);
                        slot[s].generation = g;
                        slot[s].state = to;
                        won = true
                :: else -> won = false
                fi
        }
#ifndef BREAK_TOMBSTONE
        if
        :: won
        :: else -> move(s, SM_SLOT_DEAD, g, SM_SLOT_GONE)
        fi
#endif
}
inline sm_slot_put_back(s, g, from) { move(s, from, g, SM_SLOT_FREE); stack_push(s) }
inline sm_slot_drop(s, g, from) { move(s, from, g, SM_SLOT_GONE) }
inline sm_slot_kill(s, x) { /* reads the word, then swaps it */
        d_step {
                if
                :: slot[s].state == SM_SLOT_FREE && CONNECTION(slot[s].generation) == (x) ->
                        slot[s].state = SM_SLOT_DEAD
                :: else
                fi
        }
}
inline sm_slot_wait(s, g) { move(s, SM_SLOT_TAKEN, g, SM_SLOT_WAITING) }
inline sm_slot_respond(s, g, won) { swap(s, SM_SLOT_WAITING, g, SM_SLOT_RESPONDING, 1, won) }
inline sm_slot_proceed(s, g, won) { swap(s, SM_SLOT_RESPONDING, g, SM_SLOT_RESPONDING, 0, won) }
inline sm_slot_hand_over(s, g, from, r, won) { swap(s, from, g, SM_SLOT_RELAY, r, won) }
inline sm_slot_release(s) { slot[s].state = SM_SLOT_UNUSED }
inline sm_slot_bind(s, g) { move(s, SM_SLOT_UNUSED, g, SM_SLOT_FREE); stack_push(s) }

inline sm_downstream_begin(c, s, g, won) {
        d_step {
                won = downstream[c].state == SM_DOWNSTREAM_IDLE;
                if
                :: won ->
                        downstream[c].state = SM_DOWNSTREAM_KERNEL;
                        downstream[c].slot = s;
                        downstream[c].generation = g
                :: else
                fi
        }
}
inline sm_downstream_move(c, from, to, won) {
        d_step {
                won = downstream[c].state == from;
                if
                :: won -> downstream[c].state = to
                :: else
                fi
        }
}
inline sm_downstream_end(c, s, g, to) {
        d_step {
                if
                :: ANSWERED_BY(c, s, g) ->
                        downstream[c].state = to; downstream[c].slot = 0; downstream[c].generation = 0
                :: else
                fi
        }
}

/* Of S's program, when the call that sent the last part comes to its end. */
inline sm_slot_finish(s, g) {
#ifdef BREAK_PUSH_FIRST
        stack_push(s);
        swap(s, SM_SLOT_RESPONDING, g, SM_SLOT_FREE, 0, won);
        sm_downstream_end(c, s, g, SM_DOWNSTREAM_IDLE)
#else
#ifdef BREAK_DOWNSTREAM_FIRST
        sm_downstream_end(c, s, g, SM_DOWNSTREAM_IDLE);
        swap(s, SM_SLOT_RESPONDING, g, SM_SLOT_FREE, 0, won);
        if
        :: won -> stack_push(s)
        :: else
        fi
#else
        swap(s, SM_SLOT_RESPONDING, g, SM_SLOT_FREE, 0, won);
        if
        :: won ->
                assert(downstream[c].held || relay_dead);
                sm_downstream_end(c, s, g, SM_DOWNSTREAM_IDLE);
                stack_push(s)
        :: else
        fi
#endif
#endif
}

#ifdef BREAK_ANSWERED
#define NO_MORE_SENT(c) true
#else
#define NO_MORE_SENT(c) (downstream[c].answered == sent[c])
#endif
#ifdef BREAK_WRITTEN
#define ALL_RECEIVED(c) true
#else
#define ALL_RECEIVED(c) (downstream[c].written == received[c])
#endif
#ifdef BREAK_UNREAD
#define ALL_READ(c) true
#else
#define ALL_READ(c) (unread[c] == 0)
#endif

/* What D's program asks first. D's lock is held, and nobody else sets out from IDLE: so it stays true. */
inline sm_downstream_may_take(c, yes) {
#ifdef BREAK_READ_ORDER
        yes = ALL_RECEIVED(c) && ALL_READ(c);
        yes = yes && downstream[c].state == SM_DOWNSTREAM_IDLE && NO_MORE_SENT(c)
#else
        yes = downstream[c].state == SM_DOWNSTREAM_IDLE && NO_MORE_SENT(c);
        yes = yes && ALL_RECEIVED(c) && ALL_READ(c)
#endif
}

/* Bytes arrive at D, whether it asks for them or not. */
proctype Wire(byte c) {
        byte m;
end:
        do
        :: atomic {
                to_d[c]?m ->
                if
                :: d_open[c] ->
                        received[c]++; unread[c]++;
#if VERDICT
                        ingress[c]!m, true
#else
                        tcp_queue[c]!m
#endif
                :: else
                fi;
                m = 0
           }
        od
}

#ifdef BREAK_TAKEN
#define AS_TAKEN SM_SLOT_WAITING
#else
#define AS_TAKEN SM_SLOT_TAKEN
#endif

/* D sends a request: its program, then the bytes. */
inline client_send(c, q) {
        sm_downstream_may_take(c, won);
        s = N_SLOTS;
        if
        :: won -> stack_pop(s)
        :: else
        fi;
        if
        :: s < N_SLOTS ->
                sm_slot_take(s, g, AS_TAKEN, won);
                if
                :: won ->
                        d_step { slot[s].downstream = c; downstream[c].request = q; i = slot[s].server };
                        sm_downstream_begin(c, s, g, won);
                        if
                        :: !won -> sm_slot_put_back(s, g, AS_TAKEN)
                        :: atomic { won && s_open[i] -> redirect = true; sm_slot_wait(s, g) }
                        :: won && !s_open[i] ->
                                sm_downstream_end(c, s, g, SM_DOWNSTREAM_IDLE);
                                sm_slot_drop(s, g, AS_TAKEN)
                        fi
                :: else
                fi
        :: else
        fi;
        atomic { /* until here the bytes are nowhere */
                if
                :: redirect && s_open[i] -> to_s[i]!q
                :: redirect && !s_open[i]
                :: !redirect ->
                        sent[c]++;
                        if
                        :: a_open[c] -> to_a[c]!q
                        :: else
                        fi
                fi;
                s = 0; g = 0; i = 0; won = false; redirect = false
        }
}

/* D reads a message: in order, of its own requests, each once. */
inline client_receive(c, m) {
        if
        :: PART(m) == FIRST -> assert(!half && REQUEST(m) == c * 4 + n_answered); half = true
        :: PART(m) == LAST -> assert(half && REQUEST(m) == c * 4 + n_answered); half = false; n_answered++
        :: PART(m) == WHOLE -> assert(!half && REQUEST(m) == c * 4 + n_answered); n_answered++
        :: else -> assert(false)
        fi;
        m = 0
}

#if VERDICT
#define MAY_READ_TCP false
#else
#define MAY_READ_TCP empty(ingress[c])
#endif

proctype Client(byte c) {
        byte n_sent, n_answered, m, s, g, i;
        bool half, redirect, won, by_tcp;

        do
        :: n_sent < N_REQUESTS && n_sent - n_answered < DEPTH ->
                n_sent++;
                client_send(c, c * 4 + n_sent - 1)
        :: atomic {
                ingress[c]?m, by_tcp ->
                if
                :: by_tcp -> unread[c]--; by_tcp = false; NOTE(by_relay++)
                :: else -> NOTE(by_kernel++)
                fi;
                client_receive(c, m)
           }
        :: atomic { MAY_READ_TCP && nempty(tcp_queue[c]) -> tcp_queue[c]?m; unread[c]--; client_receive(c, m) }
        :: atomic { n_answered == N_REQUESTS -> break }
        :: atomic {
                !a_open[c] && empty(to_d[c]) && empty(ingress[c]) && empty(tcp_queue[c]) ->
                assert(FAULTS + STRAYS + IDLE_CLOSES + RELAY_DIES > 0);
                break
           }
        :: DEATH; break
        od;
        atomic {
                d_open[c] = false;
                do
                :: ingress[c]?m, by_tcp
                :: tcp_queue[c]?m
                :: to_d[c]?m
                :: empty(ingress[c]) && empty(tcp_queue[c]) && empty(to_d[c]) -> break
                od;
                unread[c] = 0; sent[c] = 0; received[c] = 0;
                n_sent = 0; n_answered = 0; m = 0; half = false; by_tcp = false;
                n_done++
        }
}

#ifdef BREAK_READ_LATE
#define READ_LATE c = slot[s].downstream
#else
#define READ_LATE skip
#endif

/* S sends a part of a response: its program, then the bytes, then the end of the call. */
inline server_send(m) {
        d_step {
                g = slot[s].generation;
                c = slot[s].downstream;
#ifdef BREAK_GENERATION
                state = slot[s].state
#else
                state = (CONNECTION(g) == connection -> slot[s].state : SM_SLOT_UNUSED)
#endif
        }
        if
        :: state == SM_SLOT_FREE -> sm_slot_kill(s, connection)
        :: state == SM_SLOT_WAITING && kind != LARGE && PART(m) == FIRST ->
                sm_slot_respond(s, g, won);
                READ_LATE;
                redirect = won && d_open[c];
                if
                :: won && !redirect -> sm_slot_hand_over(s, g, SM_SLOT_RESPONDING, SM_REMAINING_ALL, won)
                :: else
                fi
        :: state == SM_SLOT_WAITING && (kind == LARGE || PART(m) != FIRST) ->
                sm_slot_hand_over(s, g, SM_SLOT_WAITING, SM_REMAINING_ALL, won)
        :: state == SM_SLOT_RESPONDING && kind == SMALL ->
                sm_slot_proceed(s, g, won);
                READ_LATE;
                redirect = won && d_open[c];
                if
                :: won && !redirect -> sm_slot_hand_over(s, g, SM_SLOT_RESPONDING, 1, won)
                :: else
                fi
        :: state == SM_SLOT_RESPONDING && kind != SMALL ->
                sm_slot_hand_over(s, g, SM_SLOT_RESPONDING, 1, won)
        :: else
        fi;
#ifdef BREAK_AT_VERDICT
        if
        :: redirect && PART(m) == LAST -> sm_slot_finish(s, g)
        :: else
        fi;
#endif
        atomic { /* until here the bytes are nowhere */
                if
                :: redirect && d_open[c] -> ingress[c]!m, false
                :: redirect && !d_open[c]
                :: !redirect && u_open[i] ->
                        to_u[i]!m;
                        if
                        :: kind == TOO_LONG && PART(m) == LAST -> to_u[i]!STRAY
                        :: else
                        fi
                :: !redirect && !u_open[i]
                fi
        }
#ifndef BREAK_AT_VERDICT
        if
        :: redirect && PART(m) == LAST -> sm_slot_finish(s, g)
        :: else
        fi;
#endif
        d_step { state = 0; g = 0; c = 0; won = false; redirect = false }
}

/* S is closed; sock_ops sees what arrives at U. */
inline server_close() {
        atomic {
                s_open[i] = false;
                hung_up[i] = true;
                sm_slot_kill(s, connection);
                do
                :: to_s[i]?n
                :: empty(to_s[i]) -> break
                od;
                n = 0; s = 0; connection = 0; kind = SMALL;
                slot_of[i] = 0; connection_of[i] = 0
        }
}

proctype Server(byte i) {
        byte n, s, g, c, connection, state, kind;
        bool redirect, won;

end:
        atomic { s_open[i] -> s = slot_of[i]; connection = connection_of[i] };
end_idle:
        do
        :: atomic {
                to_s[i]?n ->
                if
                :: kind = SMALL
                :: KINDS > 1 -> kind = LARGE
                :: KINDS > 2 -> kind = TOO_LONG
                fi
           };
           server_send(MESSAGE(n, FIRST));
           if
           :: skip
           :: DEATH; break
           fi;
           server_send(MESSAGE(n, LAST));
           d_step { n = 0; kind = SMALL }
        :: n_strays < STRAYS -> n_strays++; server_send(STRAY)
        :: !u_open[i] && empty(to_s[i]) -> break
        :: DEATH; break
        od;
        server_close()
}

inline relay_announce(c) {
#ifdef BREAK_WRITTEN_LATE
        late++;
#else
        downstream[c].written++;
#endif
}

inline relay_write(c, m) {
        relay_announce(c);
        to_d[c]!m;
}

/* The request is as good as answered before the last of its answer is on the way, which D must have read. */
inline relay_write_last(c, m) {
        relay_announce(c);
        downstream[c].answered++;
        promised = true;
        to_d[c]!m;
}

#define IMPATIENT(i) (hung_up[i] || nempty(to_u[i]) || n_faults < FAULTS)
inline lose_patience(i) {
        if
        :: hung_up[i] || nempty(to_u[i])
        :: !hung_up[i] && empty(to_u[i]) -> n_faults++
        fi
}

/* What the relay does for a client, for whom it answers one request after the other. */
proctype Relay(byte c) {
        byte n, s, g, i, m, owed;
        bool copy, begun, won, promised;
#ifdef BREAK_WRITTEN_LATE
        byte late;
#endif

{
        skip;
idle:
        skip;
        d_step { n = 0; s = 0; g = 0; i = 0; m = 0; owed = 0; copy = false; begun = false };
end_idle:
        if
#ifdef BREAK_PIPELINING
        :: to_a[c]?n -> goto attempt
#else
        :: atomic { downstream[c].state == SM_DOWNSTREAM_IDLE && nempty(to_a[c]) -> to_a[c]?n }; goto attempt
#endif
        :: atomic {
                downstream[c].state == SM_DOWNSTREAM_KERNEL ->
                s = downstream[c].slot; g = downstream[c].generation
           }
           goto overdue
        :: (IDLE_CLOSES || !d_open[c]) && empty(to_a[c]) -> goto shut
        fi;

overdue: /* the kernel has it. Until U has something to say, or it has been too long, wait */
        if
        :: atomic {
                slot[s].state == SM_SLOT_WAITING && IMPATIENT(slot[s].server) ->
                n = downstream[c].request;
                lose_patience(slot[s].server)
           };
#ifdef BREAK_TAKE_OVER
           d_step { slot[s].state = SM_SLOT_RELAY; won = true };
#else
           sm_slot_hand_over(s, g, SM_SLOT_WAITING, SM_REMAINING_ALL, won);
#endif
           if
           :: won -> goto take_over
           :: else -> goto idle
           fi
        :: atomic {
                slot[s].state == SM_SLOT_RESPONDING && IMPATIENT(slot[s].server) ->
                n = downstream[c].request;
                lose_patience(slot[s].server)
           };
           sm_slot_hand_over(s, g, SM_SLOT_RESPONDING, 0, won);
           if
           :: won ->
                assert(n == downstream[c].request);
                sm_slot_drop(s, g, SM_SLOT_RELAY);
                sm_downstream_end(c, s, g, SM_DOWNSTREAM_RELAY);
                copy = true;
                goto broken
           :: else -> goto idle
           fi
        :: IS(s, SM_SLOT_RELAY, g) -> goto handed_over
        :: !ANSWERED_BY(c, s, g) -> goto idle
        fi;

take_over:
        NOTE(taken_over = true);
        assert(n == downstream[c].request); /* it is this one that took too long */
        sm_downstream_end(c, s, g, SM_DOWNSTREAM_RELAY);
        copy = true;
        if
#ifdef BREAK_KEEP
        :: sm_slot_put_back(s, g, SM_SLOT_RELAY); goto attempt
#else
        :: sm_slot_drop(s, g, SM_SLOT_RELAY); goto attempt
#endif
        :: owed = SM_REMAINING_ALL; i = slot[s].server; goto read
        fi;

handed_over:
        owed = slot[s].remaining;
        sm_downstream_end(c, s, g, SM_DOWNSTREAM_RELAY);
        n = downstream[c].request; copy = true;
        i = slot[s].server;
        begun = owed < SM_REMAINING_ALL;
        if
        :: begun -> NOTE(continued = true)
        :: else
        fi;
        goto read;

attempt:
        if
        :: N_SERVERS == n_bound && ALL_UNUSED -> relay_write(c, MESSAGE(n, WHOLE)); goto answered
        :: DEATH; relay_write(c, MESSAGE(n, WHOLE)); goto answered
        :: atomic { n_stack > 0 -> stack_pop(s) };
           sm_slot_take(s, g, SM_SLOT_RELAY, won);
           if
           :: !won -> goto attempt
           :: else ->
                i = slot[s].server; owed = SM_REMAINING_ALL; begun = false;
                atomic {
                        if
                        :: s_open[i] -> to_s[i]!n
                        :: !s_open[i]
                        fi
                }
           fi
        fi;

read:
        if
        :: to_u[i]?m;
                if
                :: m == STRAY -> goto failed
                :: m != STRAY ->
                        assert(REQUEST(m) == n);
                        begun = true; owed--;
                        if
                        :: owed > 0 -> relay_write(c, m); goto read
                        :: owed == 0 -> goto last
                        fi
                fi
        :: hung_up[i] && empty(to_u[i]) -> goto failed
        :: DEATH; goto failed
        fi;

last: /* D, which may be asking for more as soon as it has this, is to find the slot */
        if
        :: empty(to_u[i]) && !hung_up[i] -> sm_slot_put_back(s, g, SM_SLOT_RELAY)
        :: nempty(to_u[i]) || hung_up[i] -> sm_slot_drop(s, g, SM_SLOT_RELAY)
        fi;
        if
        :: copy -> relay_write(c, m)
        :: !copy -> relay_write_last(c, m); NOTE(found = found || downstream[c].state == SM_DOWNSTREAM_KERNEL)
        fi;

answered:
        if
        :: copy -> sm_downstream_move(c, SM_DOWNSTREAM_RELAY, SM_DOWNSTREAM_IDLE, won); assert(won)
        :: !copy && promised -> promised = false
        :: else -> downstream[c].answered++
        fi;
#ifdef BREAK_WRITTEN_LATE
        d_step { downstream[c].written = downstream[c].written + late; late = 0 };
#endif
        goto idle;

failed:
        sm_slot_drop(s, g, SM_SLOT_RELAY);
        if
        :: begun -> goto broken
        :: else -> goto attempt
        fi;

broken: /* what D has is not whole, and must not look so */
        if
        :: copy -> sm_downstream_move(c, SM_DOWNSTREAM_RELAY, SM_DOWNSTREAM_CLOSED, won); assert(won)
        :: else -> sm_downstream_move(c, SM_DOWNSTREAM_IDLE, SM_DOWNSTREAM_CLOSED, won); assert(won)
        fi;
        goto close;

shut:
#ifdef BREAK_SHUT
        downstream[c].state = SM_DOWNSTREAM_CLOSED;
#else
        sm_downstream_move(c, SM_DOWNSTREAM_IDLE, SM_DOWNSTREAM_CLOSED, won);
        if
        :: won
        :: else -> goto idle
        fi;
#endif
close:
        atomic { a_open[c] = false; downstream[c].held = false }
} UNLESS_DEAD
}

/* It takes them all out, and puts back those that are alive. */
inline sm_slot_sweep(s) {
        do
        :: k < n_stack && stack[k] != s -> k++
        :: else -> break
        od;
        do
        :: k + 1 < n_stack -> stack[k] = stack[k + 1]; k++
        :: else -> break
        od;
        n_stack--;
        stack[n_stack] = 0;
        k = 0;
        slot[s].state = SM_SLOT_GONE
}

/* What the relay does for a slot. */
proctype Pool(byte s) {
        byte g, i, k, connection;

{
end:
        do
        :: atomic {
                slot[s].state == SM_SLOT_UNUSED && n_bound < N_SERVERS ->
                NOTE(rebound = n_bound >= N_SLOTS);
                connection++;
                g = connection * 4;
                slot[s].generation = g;
                i = n_bound;
                slot[s].server = i;
                slot_of[i] = s; connection_of[i] = connection;
                s_open[i] = true; u_open[i] = true;
                n_bound++
           };
           sm_slot_bind(s, g)
        :: atomic { slot[s].state == SM_SLOT_FREE && (hung_up[i] || nempty(to_u[i])) ->
                sm_slot_kill(s, connection)
           }
        :: atomic { slot[s].state == SM_SLOT_DEAD && IN_STACK(s) -> sm_slot_sweep(s) }
        :: atomic {
                slot[s].state == SM_SLOT_GONE ->
                u_open[i] = false;
                do
                :: to_u[i]?k
                :: empty(to_u[i]) -> break
                od;
                k = 0;
                sm_slot_release(s)
           }
        od
} UNLESS_DEAD
}

#if RELAY_DIES
proctype Death() {
        byte k;

end:
        atomic {
                relay_dead = true;
                do
                :: k < N_CLIENTS -> a_open[k] = false; k++
                :: else -> break
                od;
                k = 0;
                do
                :: k < N_SERVERS && u_open[k] && s_open[k] ->
                        u_open[k] = false; sm_slot_kill(slot_of[k], connection_of[k]); k++
                :: k < N_SERVERS && !(u_open[k] && s_open[k]) -> u_open[k] = false; k++
                :: else -> break
                od
        }
}
#endif

/* Nobody can move any more. */
proctype Judge() {
        byte k;

        timeout ->
        assert(n_done == N_CLIENTS); /* each client has its answers, or saw its connection close, or died */
        do
        :: k < N_CLIENTS ->
                assert(relay_dead || !downstream[k].held && downstream[k].state == SM_DOWNSTREAM_CLOSED);
                k++
        :: else -> break
        od;
        k = 0;
        do
        :: k < N_SLOTS ->
                assert(relay_dead || slot[k].state == SM_SLOT_UNUSED || slot[k].state == SM_SLOT_FREE);
                assert(relay_dead || slot[k].state != SM_SLOT_FREE || IN_STACK(k));
                k++
        :: else -> break
        od
#ifdef REACH
        ;
        assert(!(REACH))
#endif
}

init {
        byte k;

        atomic {
                do
                :: k < N_CLIENTS ->
                        d_open[k] = true; a_open[k] = true;
                        downstream[k].held = true;
                        downstream[k].state = SM_DOWNSTREAM_IDLE;
                        run Client(k); run Relay(k); run Wire(k);
                        k++
                :: else -> break
                od;
                k = 0;
                do
                :: k < N_SLOTS -> run Pool(k); k++
                :: else -> break
                od;
                k = 0;
                do
                :: k < N_SERVERS -> run Server(k); k++
                :: else -> break
                od;
#if RELAY_DIES
                run Death();
#endif
                run Judge()
        }
}
