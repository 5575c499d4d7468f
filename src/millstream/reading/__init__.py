"""What is stored of a document, read and changed: the original, its text, its chunks, what is said of it."""
