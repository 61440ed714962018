"""Runs one command again and again, each time killed a few file events later, until it ends by itself.

A file event is anything that the command does to a file in the folder: making, writing, syncing, renaming, deleting.
Later runs go on from what the killed ones left. Usage: killed_at_file_events.py FOLDER STRIDE WORDS...; prints the
number of kills and the exit status of the run that ended by itself.
"""

import os
import signal
import sys
from pathlib import Path

import matplotlib.figure  # noqa: F401
import torch.utils.tensorboard  # noqa: F401
import tqdm  # noqa: F401

import dualfair.evolution.archive
import dualfair.evolution.nsga2
import dualfair.runs.trained_run
import dualfair.stages.correlate
import dualfair.stages.retrain
import dualfair.stages.search
import dualfair.stages.train
import dualfair.supernet.files
import dualfair.supernet.training.resuming
from dualfair.__main__ import main

AUDITED = {"open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "sqlite3.connect"}


class Killer:
    """Counts file events in a folder, and kills this process at the one with a given number."""

    def __init__(self, folder, at):
        self.folder, self.at, self.seen = str(folder), at, 0

    def event(self, *_):
        self.seen += 1
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, name, arguments):
        if name not in AUDITED or not any(str(path).startswith(self.folder) for path in arguments[:2]):
            return
        if name != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.event()

    def before(self, function):
        def wrapped(*arguments, **named):
            self.event()
            return function(*arguments, **named)

        return wrapped


def run_killed(folder, at, words):
    """Run the command in a child that is killed at event `at`; its exit status, -9 when it was killed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    killer = Killer(folder, at)
    os.fsync = killer.before(os.fsync)
    dualfair.supernet.files.Output.write = killer.before(dualfair.supernet.files.Output.write)
    dualfair.evolution.archive.Archive.keep = killer.before(dualfair.evolution.archive.Archive.keep)
    sys.addaudithook(killer.audit)
    sys.argv = ["dualfair", *words]
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    status = 0
    try:
        main()
    except SystemExit as leaving:
        status = leaving.code or 0
    finally:
        os._exit(status)


def run():
    folder, stride, words = Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3:]
    kills = 0
    while (status := run_killed(folder, 1 + kills * stride, words)) == -signal.SIGKILL:
        kills += 1
    print(kills, status)


if __name__ == "__main__":
    run()
