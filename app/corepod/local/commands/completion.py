"""`corepod completion`: what a shell completes, from the same parser as every help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.config.spec import BY_NAME
from corepod.contract.exits import EXIT_FAILED, EXIT_OK
from corepod.local import arguments
from corepod.local.pools import CommandError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

SHELLS = ("bash", "zsh", "fish")
# The names of pools are those of their sockets: to look at the folders costs a shell nothing, and starts no Python.
# Abstract sockets and those of other users aren't proposed.
POOLS = {
    "bash": """\
_corepod_pools() {
  local socket names=()
  for socket in "${XDG_RUNTIME_DIR:-/run/corepod}"/corepod/*.sock /run/corepod/*.sock /run/corepod/*/*.sock; do
    if [ -O "$socket" ]; then socket=${socket##*/}; names+=("${socket%.sock}"); fi
  done
  compgen -W "${names[*]}" -- "$1"
}""",
    "zsh": """\
_corepod_pools() {
  local -aU names
  names=(${XDG_RUNTIME_DIR:-/run/corepod}/corepod/*.sock(NU:t:r) /run/corepod/**/*.sock(NU:t:r))
  compadd -a names
}""",
    "fish": """\
function _corepod_pools
  set -l sockets /run/corepod/*.sock /run/corepod/*/*.sock
  if set -q XDG_RUNTIME_DIR
    set -a sockets $XDG_RUNTIME_DIR/corepod/*.sock
  end
  for socket in $sockets
    if test -O $socket
      string replace -r '^.*/(.*)\\\\.sock$' '$1' $socket
    end
  end
end""",
}
POOL = {"bash": "_corepod_pools", "zsh": "_corepod_pools", "fish": "(_corepod_pools)", "preamble": POOLS}
FILES = (
    "config",
    "env_file",
    "tls_cert",
    "tls_key",
    "tls_client_ca",
    "termination_log",
    "pid_file",
    "ready_file",
    "control",
)
FOLDERS = ("chdir",)


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="shell that the script is for")
    parser.epilog = (
        'bash: eval "$(corepod completion bash)" in ~/.bashrc; '
        'zsh: eval "$(corepod completion zsh)" in ~/.zshrc, behind compinit; '
        "fish: corepod completion fish > ~/.config/fish/completions/corepod.fish"
    )


def main(options: Namespace, parser: ArgumentParser) -> int:
    try:
        print(script(parser, options.shell))
    except ImportError as error:
        message = f"corepod completion needs further packages: pip install 'corepod[local]' ({error})"
        raise CommandError(message, EXIT_FAILED) from error
    return EXIT_OK


def script(parser: ArgumentParser, shell: str) -> str:
    """The script for one of SHELLS. Raises ImportError where shtab isn't installed."""
    import shtab

    for one in arguments.commands(parser).values():
        for action in one._actions:
            _teach(action, shtab)
    text: str = shtab.complete(parser, shell)
    return text


def _teach(action: Any, shtab: Any) -> None:
    """Tell shtab what the values of an argument are."""
    setting = BY_NAME.get(action.dest)
    if action.dest == "pool":
        action.complete = POOL
    elif action.dest in FILES:
        action.complete = shtab.FILE
    elif action.dest in FOLDERS:
        action.complete = shtab.DIRECTORY
    elif action.choices is None and setting is not None and setting.choices and action.option_strings:
        action.choices = list(setting.choices)
    elif action.dest == "to":
        action.choices = ["+1", "-1", "auto"]
