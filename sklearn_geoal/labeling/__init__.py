"""A person in the loop: a session of queries and answers on a scene, and the page on which they are given."""

from ._page import serve
from ._session import LabelingSession
from ._state import ConflictError

__all__ = ["ConflictError", "LabelingSession", "serve"]
