"""Sending many files to a service: what there is, in which requests, how far it came, and how to go on."""
