"""A stand-in carrier: speaks Exotel's v1 connect API, rings scripted callees and records every ring in the ring log.

It runs as a process of its own and imports nothing else of this repository, so that it can judge the rest.
"""
