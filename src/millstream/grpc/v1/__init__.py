"""Stubs that `make proto` generates from proto/millstream/v1/tasks.proto; never edited by hand."""
