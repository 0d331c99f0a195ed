"""Errors of a caller. The message is for a person: what was wrong and what to do."""


class InvalidRequest(Exception):
    """The request can't be carried out as it stands. Nothing was changed."""


class WrongState(InvalidRequest):
    """The present state of the object does not allow this."""


class Missing(InvalidRequest):
    """What the request names was deleted since it was looked up."""


class Conflict(InvalidRequest):
    """The request conflicts with something that exists or is under way."""
