"""Bytes: one protocol for keeping blobs, and a directory, an S3 bucket and a dictionary that hold to it."""
