"""The console's pages. They show what the person's memberships allow, and change things as the API does."""

from django.contrib.admin import AdminSite
from django.urls import URLPattern

from console.server_figures import Readiness
from console.views.call_again import CallAgainPages
from console.views.campaign import CampaignPages
from console.views.campaigns import CampaignsPages
from console.views.do_not_call import DoNotCallPages
from console.views.new_campaign import NewCampaignPages
from console.views.now import NowPages
from console.views.number import NumberPages
from console.views.people import PeoplePages
from console.views.reports import ReportPages
from console.views.set_up import SetUpPages
from console.views.system import SystemPages
from console.views.uploads import UploadPages


class Console:
    """All pages of the console, within the admin's site and behind its sign-in.

    Args:
        readiness: says what is wrong with the server itself, to its administrators.
    """

    def __init__(self, site: AdminSite, readiness: Readiness) -> None:
        self._groups = (
            NowPages(site, readiness.problems),
            CampaignsPages(site),
            CampaignPages(site),
            CallAgainPages(site),
            NewCampaignPages(site),
            NumberPages(site),
            DoNotCallPages(site),
            ReportPages(site),
            SetUpPages(site),
            UploadPages(site),
            PeoplePages(site),
            SystemPages(site, readiness),
        )

    @property
    def urls(self) -> list[URLPattern]:
        return [pattern for group in self._groups for pattern in group.urls]
