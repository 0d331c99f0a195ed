"""A stand-in carrier: speaks Exotel's and Twilio's APIs, rings scripted callees, records every ring in the ring log.

It runs as a process of its own and imports nothing else of this repository, so that it can judge the rest.
"""
