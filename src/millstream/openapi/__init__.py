"""What the API promises, as an OpenAPI 3.1 document that is made from the structs which decode and encode.

To add a route, add its operation: an entry under the route's name in the table of its tag (`of_tasks`, `of_uploads`, …;
a new table is put together with the others in `operations`). An `Operation` says in words what the call is for, and
names its parameters, the struct that its body is decoded by, its answers with the structs that are encoded, and the
codes of the problems that are its own (those that may come to every call of its kind are added by `problems`). Path,
method and path parameters come from the route itself. `tests/unit/millstream/test_openapi.py` compares both ways.

What is no part of the API (a page and its files) has `include_in_schema=False` at its route.
"""
