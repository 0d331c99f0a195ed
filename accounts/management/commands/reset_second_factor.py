"""`manage.py reset_second_factor NAME`: for a lost phone, where nobody else may do it in the admin."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import second_factors
from accounts.management.command_kit import actor


class Command(BaseCommand):
    help = "Removes the second factor of a person, who then signs in with the password alone until another is set up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name that the person signs in with")

    def handle(self, *_: Any, name: str, **__: Any) -> None:
        person = get_user_model().objects.filter(username=name).first()
        if person is None:
            raise CommandError(f"nobody signs in as {name}: the page of people in the admin shows the names")
        if not second_factors.remove(person, actor=actor()):
            raise CommandError(f"{name} has no second factor")
        self.stdout.write(f"removed: the second factor of {name}")
