"""What a caller of this app can do wrong. The message is for a person: what was wrong and what to do."""


class CampaignError(Exception):
    """The request can't be carried out as it stands; nothing was changed."""


class WrongState(CampaignError):
    """The campaign's state does not allow this."""


class Conflict(CampaignError):
    """What is asked for stands against something else that exists or is under way."""
