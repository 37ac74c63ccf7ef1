"""Fixtures of the core's tests."""

import functools

import pytest

from tests.core.running import begin


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Assignments -> the folder of their run, which nothing stopped."""

    @functools.cache
    def folder(*assignments, seeds=1):
        path = tmp_path_factory.mktemp("undisturbed")
        begin(path, *assignments, seeds=seeds)
        return path

    return folder
