"""Documents worked on again, many at a time: by a query, or all of a knowledge base into a new index."""
