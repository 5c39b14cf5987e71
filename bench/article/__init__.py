"""Measures the sentences of the prompt-caching article on any server; see __main__.py."""
