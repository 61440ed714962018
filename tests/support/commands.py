"""Commands that have to end well, or to refuse."""


def call(dualfair, *words) -> str:
    """What a command prints that has to end well; `dualfair` is the fixture."""
    done = dualfair(*words)
    assert done.status == 0, done.err
    return done.out


def refused(dualfair, *words) -> str:
    """The error, on one line, of a command that has to refuse what it is given."""
    done = dualfair(*words)
    assert done.status == 2, done.out
    return " ".join(done.err.split())
