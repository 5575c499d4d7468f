"""Calls to addresses that strangers name: checked, and connected to the very address that was checked."""
