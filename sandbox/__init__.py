"""A stand-in carrier: speaks Exotel's v1 connect API, rings scripted callees and keeps the ring log.

It runs as its own process and imports nothing else of this repository, so that it can judge the rest.
"""
