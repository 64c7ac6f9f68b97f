"""The pages: a table of them, and the routes that serve their frames. What is in a page comes from the API, by its script."""
