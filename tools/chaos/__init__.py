"""`make chaos`: breaks a whole running Trunkline on purpose, and lets the ring log and the database judge.

faults        one function for each fault of docs/operator/guarantees.md: what is broken, when, and how it is mended
run           a run: one system, one account, three campaigns, one fault at a moment that the seed chooses
judge         what must hold after every run, from the sandbox's ring log and the database
random_faults the second mode: for a given time, one fault after another by seed, under a steady load
system        the processes of a Trunkline, each to be killed, stopped and started by itself
lane          a process that makes runs on a system of its own; several work side by side
"""
