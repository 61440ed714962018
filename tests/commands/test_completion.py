"""Completion as a shell asks for it: the protocol of its environment variables, and a real bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dualfair.commands.completion import INSTALL
from dualfair.supernet.space import SPACE_NAMES

START = "import sys; sys.argv[0] = 'dualfair'; from dualfair.__main__ import main; main()"


def environment(**more):
    return {**os.environ, **more}


def completions(words):
    """What is offered for the last of the words."""
    asked = {"_DUALFAIR_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    run = subprocess.run([sys.executable, "-c", START], env=environment(**asked), capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    return run.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("dualfair tr", ["plain,train", "plain,transfer"]),
        ("dualfair faces imp", ["plain,import"]),
        ("dualfair train --space ", [f"plain,{name}" for name in SPACE_NAMES]),
        ("dualfair show --skeleton p", ["plain,paper"]),
        ("dualfair search --disparity log", ["plain,log_rank_disparity"]),
        ("dualfair train --sampler u", ["plain,uniform"]),
        ("dualfair doctor --device c", ["plain,cpu", "plain,cuda"]),
        ("dualfair train --space mine:", []),
        ("dualfair train --faces fa", ["dir,fa"]),
        ("dualfair search --run ", ["dir,"]),
        ("dualfair completion z", ["plain,zsh"]),
    ],
)
def test_a_shell_is_offered_commands_values_and_folders(words, offered):
    assert completions(words) == offered


def test_names_of_commands_are_offered_without_importing_torch_or_any_command():
    code = (
        "import sys, click\nfrom dualfair.__main__ import cli\n"
        "names = [item.value for item in cli.shell_complete(click.Context(cli), 'tr')]\n"
        "assert names == ['train', 'transfer'], names\n"
        "assert not {'torch', 'numpy', 'dualfair.stages.train', 'dualfair.studies.transfer.study'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash_completes_tr_to_train_and_transfer(tmp_path):
    program = tmp_path / "dualfair"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{START}" "$@"\n')
    program.chmod(0o755)
    asks = (
        'eval "$(dualfair completion bash)" && complete -p dualfair && '
        'COMP_WORDS=(dualfair tr) COMP_CWORD=1 && _dualfair_completion dualfair && echo "${COMPREPLY[@]}"'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(["bash", "-c", asks], env=environment(PATH=path), capture_output=True, text=True)
    assert run.stderr == "" and run.stdout.splitlines()[-1] == "train transfer"


@pytest.mark.parametrize("shell", INSTALL)
def test_every_script_says_how_it_is_installed(dualfair, shell):
    printed = dualfair("completion", shell)
    lines = printed.out.splitlines()
    assert printed.status == 0 and f"# To install: {INSTALL[shell]}" in lines[:2]
    # Shells that load the file by itself read the name from its first line.
    assert (lines[0] == "#compdef dualfair") == (shell == "zsh")
    assert f"_DUALFAIR_COMPLETE={shell}_complete" in printed.out


def test_suggestions_reject_nothing():
    import click

    from dualfair.commands.completion import suggest_values
    from dualfair.commands.train import command

    suggest_values(command)
    space = next(parameter for parameter in command.params if parameter.name == "space")
    context = click.Context(command)
    assert space.type.name == "text" and space.type_cast_value(context, "mine:space") == "mine:space"
    faces = next(parameter for parameter in command.params if parameter.name == "faces")
    assert faces.type_cast_value(context, "folder") == Path("folder")
    suggest_values(command)
    assert space.type.accepts is click.STRING


def test_another_shell_is_refused_in_one_line(dualfair):
    refused = dualfair("completion", "tcsh")
    assert refused.status == 2 and "'bash', 'zsh', 'fish'" in refused.err
