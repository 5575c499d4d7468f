"""What is stored of a document, as clients read it: the original, its text, its chunks."""
