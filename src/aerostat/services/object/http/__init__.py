"""Requests and answers of the object store, as its middlewares and handlers see them."""
