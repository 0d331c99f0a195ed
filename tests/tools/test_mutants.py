"""Every mutant fits the code, its catcher exists, and a hunt tells a catch from anything else that fails."""

import os
import re
import subprocess
import sys

import pytest

from tools.chaos.faults import ROWS
from tools.local.project import PROJECT
from tools.mutants import catalogue, patch
from tools.mutants.catalogue import CatalogueError, Edit, Mutant
from tools.mutants.catchers import Catchers, Said, failures, violations
from tools.mutants.hunt import judge, unmutated

MUTANTS = catalogue.load()


def mutant(*edits: Edit, caught_by="tests/test_x.py", sees=catalogue.ASSERTION):
    return Mutant("a-mutant", "something is wrong", caught_by, sees, edits)


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "dialer").mkdir()
    (tmp_path / "tests").mkdir()
    shut = "if is_shut(\n        now,\n        end,\n    ):\n        return False"
    code = f"def check(now, end):\n    {shut}\n    return True\n"
    (tmp_path / "dialer" / "gate.py").write_text(code)
    (tmp_path / "tests" / "test_gate.py").write_text("if is_shut(now, end):\n    pass\n")
    return tmp_path


@pytest.fixture(scope="module")
def product():
    return patch.product_texts(PROJECT)


class TestTheCatalogue:
    def test_there_are_many_and_a_few_of_them_are_quick(self):
        assert len(MUTANTS) >= 20
        assert sum(mutant.is_quick for mutant in MUTANTS) == 5

    @pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
    def test_every_mutant_still_applies_and_changes_something(self, mutant, product):
        changed = patch.mutated_files(mutant, PROJECT, product)
        assert changed
        assert all(product[file] != text for file, text in changed.items())

    @pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
    def test_every_catcher_exists(self, mutant):
        if mutant.row:
            assert mutant.row in {row.number for row in ROWS}
            return
        file, *names = mutant.caught_by.split("::")
        for name in names:
            assert re.search(rf"^\s*(def|class) {name}\b", (PROJECT / file).read_text(), re.MULTILINE)

    def test_a_name_that_is_unknown_is_told(self):
        with pytest.raises(CatalogueError, match="there is no mutant nothing: there are"):
            catalogue.chosen(MUTANTS, "nothing")

    @pytest.mark.parametrize(
        ("entry", "because"),
        [
            ('name = "a"\nbreaks = "b"\ncaught_by = "c"\nedits = []', "give edits"),
            ('name = "a"\nbreaks = "b"\nedits = [{ old = "x", new = "y" }]', "caught_by"),
            ('name = "a"\nbreaks = "b"\ncaught_by = "c"\nedits = [{ odl = "x", new = "y" }]', "odl"),
            ('name = "a"\nbreaks = "b"\ncaught_by = "row 1a"\nedits = [{ old = "x", new = "y" }]', "for a row what"),
        ],
    )
    def test_an_entry_that_is_incomplete_is_told(self, tmp_path, entry, because):
        (tmp_path / "a.toml").write_text(f"[[mutant]]\n{entry}\n")
        with pytest.raises(CatalogueError, match=because):
            catalogue.load(tmp_path)


class TestApplying:
    def test_text_is_found_however_it_is_broken_into_lines_and_only_in_the_product(self, tree):
        gate, before = tree / "dialer" / "gate.py", (tree / "dialer" / "gate.py").read_text()
        with patch.applied(mutant(Edit("if is_shut(now, end):", "if False:")), tree):
            assert gate.read_text() == "def check(now, end):\n    if False:\n        return False\n    return True\n"
        assert gate.read_text() == before

    def test_further_lines_are_indented_as_the_first(self, tree):
        edits = Edit("return True", "if end:\n    return False\nreturn True")
        [text] = patch.mutated_files(mutant(edits), tree).values()
        assert text.endswith("    if end:\n        return False\n    return True\n")

    def test_a_part_of_a_name_is_not_taken_for_it(self, tree):
        with pytest.raises(patch.NoLongerApplies, match="is nowhere in the product"):
            patch.mutated_files(mutant(Edit("shut(now, end)", "False")), tree)

    @pytest.mark.parametrize(
        ("edit", "because"),
        [
            (Edit("if is_open(now):", "if True:"), "«if is_open.now.:» is nowhere in the product"),
            (Edit("return", "raise"), "is in 2 places .dialer/gate.py. in the product"),
            (Edit("return True", "return", where="api/*.py"), "is nowhere in api/"),
            (Edit("return True", "return ("), "makes dialer/gate.py unreadable"),
        ],
    )
    def test_one_that_does_not_apply_says_so(self, tree, edit, because):
        with pytest.raises(patch.NoLongerApplies, match=f"the mutant a-mutant .*{because}"):
            patch.mutated_files(mutant(edit), tree)

    def test_what_python_has_compiled_is_forgotten(self, tree):
        compiled = tree / "dialer" / "__pycache__" / "gate.cpython-311.pyc"
        compiled.parent.mkdir()
        compiled.touch()
        with patch.applied(mutant(Edit("return True", "return None")), tree):
            assert not compiled.exists()


class TestJudging:
    def test_a_green_catcher_lets_the_mutant_survive(self):
        assert judge(mutant(), Said(is_green=True, complaints=(), output="1 passed")) == (
            False,
            "it survived: its catcher is green",
        )

    def test_a_failed_assertion_catches_it(self):
        said = Said(is_green=False, complaints=("AssertionError: assert 1 == 2",), output="")
        assert judge(mutant(), said) == (True, "AssertionError: assert 1 == 2")

    @pytest.mark.parametrize("complaint", ["NameError: name 'x' is not defined", "TypeError: assert", ""])
    def test_any_other_failure_does_not(self, complaint):
        is_caught, why = judge(mutant(), Said(is_green=False, complaints=(complaint,), output="ImportError: x"))
        assert not is_caught
        assert "failed for another reason" in why
        assert "ImportError: x" in why

    def test_a_row_must_see_what_it_is_meant_to_see(self):
        row = mutant(caught_by="row 12a", sees="over the trunk")
        assert row.row == "12a"
        assert judge(row, Said(is_green=False, complaints=("6 calls were up at once over the trunk",), output=""))[0]
        assert not judge(row, Said(is_green=False, complaints=("TimeoutError: not ended",), output=""))[0]

    def test_of_pytests_report_only_failures_of_tests_count(self):
        report = (
            '<testsuites><testsuite><testcase><failure message="assert 1 == 2">…</failure></testcase>'
            '<testcase><error message="collection failure">…</error></testcase></testsuite></testsuites>'
        )
        assert failures(report) == ("assert 1 == 2",)

    def test_of_chaos_the_violations_count_with_those_that_are_broken_into_lines(self):
        output = (
            "12a seed 1: 6 calls were up at once over the trunk, which\nhas 5 channels\n"
            "12a seed 1: attempt 0f rang 2 times\nbreaking things ━━━━ 1/1 0:00:09\n  Trunkline under faults\n"
        )
        assert violations(output) == (
            "6 calls were up at once over the trunk, which has 5 channels",
            "attempt 0f rang 2 times",
        )

    def test_a_catcher_that_fails_without_the_mutant_can_catch_none(self, tree):
        class Red(Catchers):
            def run_tests(self, _):
                return Said(is_green=False, complaints=("assert 0",), output="1 failed")

        why = unmutated([mutant(Edit("return True", "return None"))], tree, Red(tree, {}))
        assert "without any mutant these fail, so they can catch none: tests/test_x.py" in why

    def test_a_mutant_that_no_longer_applies_stops_the_hunt(self, tree):
        assert "no longer applies" in unmutated([mutant(Edit("gone", ""))], tree, Catchers(tree, {}))


def hunt(*options, **environment):
    command, environment = [sys.executable, "-m", "tools.mutants", *options], os.environ | environment
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


def test_the_quick_mutants_are_caught(of_migrated_data):
    ran = hunt("--quick", **of_migrated_data)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "5 of 5 mutants caught" in ran.stdout


def test_an_unknown_mutant_is_named():
    ran = hunt("--only", "nothing")
    assert ran.returncode == 1
    assert "there is no mutant nothing" in ran.stderr
