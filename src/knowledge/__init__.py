"""Text to passages: parsing, chunking, embedding, index, retrieval and answers. Knows nothing of events."""
