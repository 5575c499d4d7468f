"""Composition: the only package that knows all the others."""
