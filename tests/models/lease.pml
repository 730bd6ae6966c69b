/* Leases and erasure, as gateway/keys/lease.py, gateway/keystore/workers.py and gateway/control/erasure.py do them.
 * Property: once an erasure is effective, no worker begins a use of the key.
 *
 * Time is whole ticks that pass at any moment. An act of the key store is one atomic step. Each -D takes out one rule:
 *   PASSING   a renewal does not wait for acts: its check and its commit are two steps (READ COMMITTED without a lock)
 *   EARLY     the eraser counts leases from before it has committed
 *   LATE      a worker counts its lease from the answer and not from before it asked
 *   GENEROUS  a worker that has not acknowledged the generation may renew
 *   KEPT      a worker acknowledges and keeps what it has cached
 */
#ifndef WORKERS
#define WORKERS 1                                      /* stands for all: they share nothing but the generation */
#endif
#define LEASE 2
#define END 7

byte now = 0, generation = 0;
bool alive = true, effective = false;
byte acknowledged[WORKERS], renewed[WORKERS];          /* rows of the key store, by the worker's number */

#define HOLDS (now < until)                            /* by the worker's own clock */
#define CURRENT (acknowledged[_pid] == generation)

active [WORKERS] proctype worker() {
  byte until = LEASE, before = 0, mine = 0;
  bool cached = false, granted = false;
  do
  :: now < END && HOLDS && cached -> atomic {          /* a use begins: asked for the lease, then done */
       if :: HOLDS -> assert(!effective) :: else fi }
  :: now < END && HOLDS && !cached -> atomic {         /* a fill: key and generation in one snapshot */
       cached = (alive && generation == mine) }
  :: now < END && generation != mine -> {              /* a poll: drop, then acknowledge */
       mine = generation;
#ifndef KEPT
       cached = false;
#endif
       acknowledged[_pid] = mine }
  :: now < END -> {                                    /* a renewal: the clock is read before it is sent */
       before = now;
#ifdef PASSING
       granted = CURRENT;
       if :: granted -> renewed[_pid] = before :: else fi;
#else
       atomic {
         granted = CURRENT;
#ifdef GENEROUS
         granted = true;
#endif
         if :: granted -> renewed[_pid] = before :: else fi }
#endif
#ifdef LATE
       before = now;
#endif
       if :: granted && before + LEASE > until -> until = before + LEASE :: else fi;
       granted = false }
  :: now >= END -> break
  od
}

active proctype eraser() {
  byte asked = now, w = 0;
  atomic { alive = false; generation++ };
#ifndef EARLY
  asked = now;
#endif
  do
  :: w < WORKERS && (acknowledged[w] == generation || now >= asked + LEASE || now >= renewed[w] + LEASE) -> w++
  :: w == WORKERS -> break
  :: now >= END -> goto out
  od;
  effective = true;
out: skip
}

active proctype time() { do :: now < END -> now++ :: else -> break od }
