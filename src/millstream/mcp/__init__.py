"""The Model Context Protocol over the calls of the API: tools and resources for assistants and agents."""
