"""The `manage.py` commands of a stack, which run in forks of one process."""

import pytest

from tools.stack import StackFailed


def test_a_command_that_fails_is_told_with_its_words_and_the_next_one_runs(stack):
    with pytest.raises(StackFailed, match=r"create_flow failed: .*nobody"):
        stack.manage("create_flow", "nobody", "1", "--file", "/nowhere")
    with pytest.raises(StackFailed, match="nothing failed: Unknown command: 'nothing'"):
        stack.manage("nothing")
    assert stack.manage("list_keys", "nobody").split() == ["account", "name", "key", "last", "used", "state"]


def test_a_command_reads_its_standard_input_and_sees_the_environment_of_now(stack):
    stack.environment["SAID"] = "environment"
    told = stack.manage("shell", "-c", "import os, sys; print(sys.stdin.read(), os.environ['SAID'])", stdin="input")
    assert told.split()[-2:] == ["input", "environment"]
