"""A query that is composed once finds what Django's own finds, and no more of Django's work is done for it."""

from datetime import timedelta

import pytest
from django.db.models import DateTimeField, F, Q, Value
from django.utils import timezone

from campaigns.models import Campaign
from core.composed_once import ComposedOnce, Given
from core.encryption import Secret
from tests.factories import CampaignFactory, CustomFieldFactory, TrunkHealthFactory

pytestmark = pytest.mark.django_db


def everything():
    """Return a query with relations to one, in both directions, some of them empty; JSON, lists, texts and a secret."""
    joined = Campaign.objects.select_related("account", "caller_id__trunk__health", "custom_field", "flow")
    return joined.defer("flow__document").annotate(seven=Value(7), owner=F("account__sid")).order_by("name")


def tree(row, seen=()):
    """Return what an instance holds, and what those hold that were loaded with it."""
    if row is None:
        return None
    own = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in vars(row).items()
        if name != "_state"
    }
    others = {name: other for name, other in row._state.fields_cache.items() if not any(other is one for one in seen)}
    return type(row), own, {name: tree(other, (*seen, row)) for name, other in others.items()}


@pytest.fixture
def campaigns():
    first = CampaignFactory(running=True, greeting=True)
    second = CampaignFactory(running=True, caller_id__trunk__exotel=True)
    TrunkHealthFactory(trunk=second.caller_id.trunk)
    CustomFieldFactory(campaign=first)
    return [first.pk, second.pk]


def test_instances_are_those_of_djangos_own_query(campaigns):
    found, expected = ComposedOnce(everything).of(campaigns), everything().filter(pk__in=campaigns)
    assert [tree(row) for row in found] == [tree(row) for row in expected]
    assert len(found) == 2


def test_what_is_left_out_is_loaded_where_it_is_read(campaigns):
    [found] = ComposedOnce(lambda: Campaign.objects.only("name")).of(campaigns[:1])
    assert found.get_deferred_fields()
    assert found.rules == Campaign.objects.get(pk=campaigns[0]).rules


def test_it_is_composed_once_for_any_number_of_keys(campaigns):
    composed = []

    def compose():
        composed.append(1)
        return Campaign.objects.all()

    query = ComposedOnce(compose)
    assert [len(query.by_key(keys)) for keys in (campaigns, campaigns[:1], {campaigns[1]}, campaigns)] == [2, 1, 1, 2]
    assert len(composed) == 1


def test_each_run_reads_the_rows_again(campaigns):
    query = ComposedOnce(everything)
    before = query.by_key(campaigns)[campaigns[0]]
    Campaign.objects.filter(pk=campaigns[0]).update(name="renamed")
    after = query.by_key(campaigns)[campaigns[0]]
    assert (before.name == "renamed", after.name) == (False, "renamed")
    assert before.account is not after.account


def test_no_keys_are_no_question(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert ComposedOnce(Campaign.objects.all).by_key([]) == {}


def test_each_run_is_given_its_own_values(campaigns):
    in_between = timezone.now() + timedelta(minutes=30)
    CampaignFactory(account=Campaign.objects.get(pk=campaigns[0]).account, send_at=in_between + timedelta(hours=1))

    def before(moment):
        return Campaign.objects.select_related("account").filter(Q(name="nothing") | Q(send_at__lt=moment))

    query = ComposedOnce(lambda: before(Given("moment", DateTimeField())).order_by("pk"), by="account__sid")
    sids = list(Campaign.objects.values_list("account__sid", flat=True))
    for moment, count in ((in_between, 2), (in_between + timedelta(hours=2), 3), (in_between - timedelta(days=1), 0)):
        found, expected = query.of(sids, moment=moment), before(moment).order_by("pk")
        assert [tree(row) for row in found] == [tree(row) for row in expected]
        assert len(found) == count


def test_without_keys_all_are_found_whatever_is_asked_first(campaigns):
    query = ComposedOnce(everything)
    assert [row.pk for row in query.of(campaigns[:1])] == campaigns[:1]
    assert [tree(row) for row in query.all()] == [tree(row) for row in everything()]
    assert len(query.all()) == 2
    assert [row.pk for row in query.of(campaigns[1:])] == campaigns[1:]
