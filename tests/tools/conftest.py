import sys
from types import SimpleNamespace

import pytest

from tools.main import main


@pytest.fixture
def dualfair(monkeypatch, capsys):
    """The command line as a user types it: returns the exit status and what was printed."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["dualfair", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as leaving:
            status = leaving.code or 0
        printed = capsys.readouterr()
        return SimpleNamespace(status=status, out=printed.out, err=printed.err)

    return call
