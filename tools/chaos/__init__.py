"""`make chaos`: break a whole running Trunkline on purpose, and judge it by the ring log and the database.

faults        a function for each fault of docs/operator/guarantees.md: what is broken, when, and how it is repaired
run           one run: a system, an account, three campaigns, and a fault at a moment that the seed chooses
judge         what must hold after every run, from the sandbox's ring log and the database
random_faults the second mode: for a given time, one fault after another by seed, under a steady load
system        the processes of a Trunkline, each to be killed, frozen, stopped and started on its own
lane          a process that makes runs on a system of its own
lanes         several lanes side by side
"""
