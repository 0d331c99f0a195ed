"""What a caller of this app can do wrong. The message is for a person: what was wrong and what to do."""


class InvalidRequest(Exception):
    """The request can't be carried out as it stands; nothing was changed."""


class WrongState(InvalidRequest):
    """The campaign's state does not allow this."""


class Conflict(InvalidRequest):
    """What is asked for stands against something else that exists or is under way."""
