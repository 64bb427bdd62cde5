/* SPDX-License-Identifier: Apache-2.0
 * A model, for spin, of how client and daemon sleep and wake each other by way of the memory of xt_shm.h, and of a daemon that
 * dies at any point and is succeeded by one that takes up what is kept. Wanted: nobody sleeps for ever on what there is to do. A
 * state in which all sleep and something is left is a deadlock, which spin finds.
 *
 * Memory is weaker than C11's: each party's stores wait in a queue of its own until they take effect, or until a fence; a mark in
 * a bitmap is no fence. An exchange takes effect at once, after what the party stored before it.
 *
 * A step that is atomic here looks at or changes one thing that others can see; what it puts into its own queue they cannot.
 *
 * The clauses have the names of the functions. Where -D takes one of them out (FENCE_..., LOOK_..., AGAIN_...) the model has to fail:
 * tests/unit/check-model tries each. */
#ifndef KILLS
#define KILLS 2
#endif
/* What is looked at: all at once would be too many states. */
#ifndef CALLS
#define CALLS 0 /* commands */
#endif
#ifndef TO_SEND
#define TO_SEND 0 /* bytes of the client, through a ring that has room for one */
#endif
#ifndef TO_COME
#define TO_COME 0 /* bytes of the peer */
#endif

#ifdef NO
#define PART(what) (NO != what)
#else
#define PART(what) true
#endif
/* What may be taken out. */
#define FENCE_PUBLISH 1  /* xt_app_publish: between the slot and its subscribers */
#define FENCE_WAKE 2     /* xt_app_flush: between news and `sleeping` of the waiter */
#define FENCE_SLEEP 3    /* xt_app_prepare_sleep: between `sleeping` and the bitmaps */
#define FENCE_KICK 4     /* xtcp_kick: between the mark and `sleeping` */
#define FENCE_PREPARE 5  /* xtcp_waiter_prepare: between `sleeping` and the look for news */
#define FENCE_ANSWER 6   /* wait_for_answer: between `sleeping` and done_seq */
#define FENCE_WRITABLE 7 /* xtcp_tx_writable: between `want` and tx_tail */
#define LOOK_DAEMON 8    /* the daemon looks at the bitmaps once more before it sleeps */
#define LOOK_WAITER 9    /* a waiter looks at the slot once more */
#define LOOK_ANSWER 10   /* and at done_seq */
#define LOOK_SPACE 11    /* and, having asked for space, at tx_tail */
#define AGAIN_DIRTY 12   /* the successor takes every slot for marked */
#define AGAIN_COMMAND 13 /* and every waiter's mailbox */
#define AGAIN_NEWS 14    /* tells everybody of every slot */
#define AGAIN_BYTE 15    /* and gives each waiter a byte: its predecessor may have taken the flag and written none */

/* ---- memory, which outlives the daemon ---- */
#define SENDER 0 /* a thread of the client, and its waiter */
#define READER 1
#define DAEMON 2

byte tx_head, tx_tail, rx_head, cmd_seq, done_seq, epoch;
bit dirty, cmd, sleeping, want;
bit subs[2], ready[2], wsleeping[2];
byte pipe_bytes[2];
bool bell;              /* a completion of the doorbell waits */
byte frames;            /* in the packet ring */
byte rec_rx, rec_taken; /* the connection's record: bytes received; bytes taken from the ring, and acknowledged at once */
byte written, taken;      /* what sender and reader know themselves */
bool killed, sent_all, read_all, over;

mtype = { TX_HEAD, TX_TAIL, RX_HEAD, CMD_SEQ, DONE_SEQ, DIRTY, CMD, SLEEPING, WANT, SUBS, READY, WSLEEPING };
chan queue[3] = [4] of { mtype, byte, byte };

#define STORE(who, what, at, value) queue[who]!what, at, value
#define SETTLED(who) empty(queue[who])
#define FENCE(who, name) if :: PART(name) -> SETTLED(who) :: else fi

inline take_effect(q)
{
    d_step {
        q?what, at, value;
        if
        :: what == TX_HEAD -> tx_head = value
        :: what == TX_TAIL -> tx_tail = value
        :: what == RX_HEAD -> rx_head = value
        :: what == CMD_SEQ -> cmd_seq = value
        :: what == DONE_SEQ -> done_seq = value
        :: what == DIRTY -> dirty = value
        :: what == CMD -> cmd = value
        :: what == SLEEPING -> sleeping = value
        :: what == WANT -> want = value
        :: what == SUBS -> subs[at] = value
        :: what == READY -> ready[at] = value
        :: what == WSLEEPING -> wsleeping[at] = value
        fi
    }
}

active proctype memory()
{
    mtype what;
    byte at, value;
end:
    do
    :: nempty(queue[SENDER]) -> take_effect(queue[SENDER])
    :: nempty(queue[READER]) -> take_effect(queue[READER])
    :: nempty(queue[DAEMON]) -> take_effect(queue[DAEMON])
    od
}

/* ---- the client ---- */

inline xtcp_kick(w)
{
    FENCE(w, FENCE_KICK);
    atomic {
        if
        :: sleeping -> flag = true
        :: else
        fi
    };
    atomic {
        if
        :: flag -> bell = true; flag = false
        :: else
        fi
    }
}

inline xtcp_waiter_sleep(w)
{
    atomic {
        pipe_bytes[w] > 0;
        if
        :: owed == 0 && wsleeping[w] -> owed = 1
        :: else
        fi
    }
}

inline xtcp_waiter_done(w)
{
    atomic {
        SETTLED(w) -> owed = owed + (wsleeping[w] -> 0 : 1);
        wsleeping[w] = 0
    }
    atomic {
        owed = owed + (epoch != start -> 1 : 0);
        start = epoch
    }
    atomic {
        if
        :: owed ->
            owed = owed - (pipe_bytes[w] < owed -> pipe_bytes[w] : owed);
            pipe_bytes[w] = 0
        :: else
        fi
    }
}

inline can_send()
{
    result = (tx_tail == written);
    if
    :: !result -> STORE(SENDER, WANT, 0, 1); FENCE(SENDER, FENCE_WRITABLE); result = PART(LOOK_SPACE) && tx_tail == written
    :: else
    fi
}

/* xtcp_wait's ready(). */
inline is_ready(w)
{
    if
    :: w == SENDER -> can_send()
    :: w == READER -> result = (rx_head > taken)
    fi
}

/* The reader waits in a call that blocks. The sender waits as an epoll set does, which looks at the bitmap alone before it sleeps:
 * that it was refused (EAGAIN) must be enough to be told. */
inline xtcp_wait(w)
{
    STORE(w, SUBS, w, 1);
    do
    :: atomic {
           is_ready(w);
           if
           :: result -> break
           :: else -> STORE(w, WSLEEPING, w, 1)
           fi
       };
       atomic { FENCE(w, FENCE_PREPARE); result = ready[w] };
       atomic {
           if
           :: w == READER && !result && PART(LOOK_WAITER) -> is_ready(w)
           :: else
           fi
       };
       if
       :: !result -> xtcp_waiter_sleep(w)
       :: else
       fi;
       xtcp_waiter_done(w);
       atomic { SETTLED(w) -> ready[w] = 0 }
    od;
    STORE(w, SUBS, w, 0)
}

inline xtcp_call(w, seq)
{
    atomic { STORE(w, CMD_SEQ, 0, seq); STORE(w, CMD, 0, 1) };
    xtcp_kick(w);
    do
    :: done_seq == seq -> break
    :: else ->
       STORE(w, WSLEEPING, w, 1);
       FENCE(w, FENCE_ANSWER);
       if
       :: PART(LOOK_ANSWER) && done_seq == seq
       :: else -> xtcp_waiter_sleep(w)
       fi;
       xtcp_waiter_done(w)
    od
}

active proctype sender()
{
    byte owed, start, called;
    bit result, flag;
    do
    :: called < CALLS -> called++; xtcp_call(SENDER, called)
    :: else -> break
    od;
    do
    :: written < TO_SEND ->
       xtcp_wait(SENDER);
       atomic { written++; STORE(SENDER, TX_HEAD, 0, written); STORE(SENDER, DIRTY, 0, 1) };
       xtcp_kick(SENDER)
    :: else -> break
    od;
    sent_all = true
}

active proctype reader()
{
    byte owed, start;
    bit result;
    do
    :: taken < TO_COME ->
       xtcp_wait(READER);
       taken = rx_head
    :: else -> break
    od;
    read_all = true
}

/* ---- the world ---- */

active proctype peer()
{
    byte n;
    do
    :: n < TO_COME -> n++; frames++
    :: else -> break
    od
}

active proctype killer()
{
    byte n;
    do
    :: n < KILLS -> n++; killed = true; (!killed || over)
    :: break
    od
}

/* ---- the daemon ---- */

#define ALL_DONE (sent_all && read_all && rec_taken == TO_SEND && rec_rx == TO_COME)

inline store_slot()
{
    atomic { STORE(DAEMON, RX_HEAD, 0, rec_rx); STORE(DAEMON, TX_TAIL, 0, rec_taken); changed = false }
}

inline tell(w)
{
    atomic {
        if
        :: subs[w] -> STORE(DAEMON, READY, w, 1); touched[w] = true
        :: else
        fi
    }
}

inline xt_app_publish()
{
    store_slot();
    FENCE(DAEMON, FENCE_PUBLISH);
    atomic {
        if
        :: want -> SETTLED(DAEMON); want = 0; news = true
        :: else
        fi
    };
    if
    :: news -> tell(SENDER); tell(READER); news = false
    :: else
    fi
}

inline wake(w)
{
    atomic {
        if
        :: touched[w] && wsleeping[w] -> SETTLED(DAEMON); flag = wsleeping[w]; wsleeping[w] = 0
        :: else
        fi;
        touched[w] = false
    };
    atomic {
        if
        :: flag -> pipe_bytes[w]++; flag = false
        :: else
        fi
    }
}

inline xt_app_flush()
{
    if
    :: changed -> xt_app_publish()
    :: else
    fi;
    if
    :: touched[SENDER] || touched[READER] -> FENCE(DAEMON, FENCE_WAKE); wake(SENDER); wake(READER)
    :: else
    fi
}

inline xt_app_cmd()
{
    if
    :: cmd_seq != answered || again ->
       answered = cmd_seq;
       again = false;
       STORE(DAEMON, DONE_SEQ, 0, answered);
       touched[SENDER] = true
    :: else
    fi
}

/* A frame changes the record as a whole, or not at all: then the peer sends it again. */
inline receive()
{
    atomic {
        work = false;
        if
        :: frames -> frames--; rec_rx++; changed = true; news = true; work = true
        :: else
        fi
    }
}

inline xt_app_poll()
{
    atomic {
        if
        :: cmd -> SETTLED(DAEMON); cmd = 0; flag = true; work = true
        :: else
        fi
    };
    atomic {
        if
        :: flag -> xt_app_cmd(); flag = false
        :: else
        fi
    };
    atomic {
        if
        :: dirty -> SETTLED(DAEMON); dirty = 0; flag = true; work = true
        :: else
        fi
    };
    atomic {
        if
        :: flag -> rec_taken = tx_head; changed = true; flag = false
        :: else
        fi
    }
}

inline sleep_until_work()
{
    STORE(DAEMON, SLEEPING, 0, 1);
    FENCE(DAEMON, FENCE_SLEEP);
    if
    :: PART(LOOK_DAEMON) && cmd
    :: PART(LOOK_DAEMON) && dirty
    :: else -> atomic { (bell || frames || ALL_DONE); bell = false }
    fi;
    STORE(DAEMON, SLEEPING, 0, 0)
}

inline loop()
{
    do
    :: receive();
       xt_app_poll();
       xt_app_flush();
       atomic {
           if
           :: bell -> bell = false; work = true
           :: ALL_DONE -> goto done
           :: else
           fi
       };
       if
       :: !work -> sleep_until_work()
       :: else
       fi
    od
}

/* say_all: after the start of the successor. */
inline xt_app_revive()
{
    atomic { epoch++; answered = done_seq; again = cmd_seq != done_seq; changed = true; news = PART(AGAIN_NEWS) };
    atomic { dirty = dirty || PART(AGAIN_DIRTY); cmd = cmd || PART(AGAIN_COMMAND) };
    pipe_bytes[SENDER] = pipe_bytes[SENDER] + (PART(AGAIN_BYTE) && CALLS + TO_SEND);
    pipe_bytes[READER] = pipe_bytes[READER] + (PART(AGAIN_BYTE) && TO_COME);
    xt_app_flush()
}

active proctype daemon()
{
    bool work, changed, news, again, flag, touched[2];
    byte answered;
start:
    { loop() } unless { killed };
dead:
    atomic {
        SETTLED(DAEMON) -> killed = false;
        bell = false;
        flag = false; touched[SENDER] = false; touched[READER] = false
    }
    { xt_app_revive() } unless { killed };
    if
    :: killed -> goto dead
    :: else -> goto start
    fi;
done:
    over = true
}
