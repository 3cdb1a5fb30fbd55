"""The wall between clients and rooms: dispatch, versions, envelopes, paging."""

from .request import Page, Request, Response

__all__ = ["Page", "Request", "Response"]
