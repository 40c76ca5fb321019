//! `nepho completion`: what a shell needs to complete our words, and the names of runs and agents.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::shells;

use super::{Cli, Context, Failure};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  nepho completion bash > ~/.local/share/bash-completion/completions/nepho
  nepho completion zsh > ~/.zfunc/_nepho          with fpath+=~/.zfunc before compinit in ~/.zshrc
  nepho completion fish > ~/.config/fish/completions/nepho.fish";

/// Prints a script that completes our verbs, options, runs and agents in a shell.
///
/// Runs and agents are asked of the controller that NEPHO_CONTROLLER names, else of the one in the
/// default data directory.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Whose.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    /// bash, 4 or newer.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

pub(super) fn perform(context: &mut Context, arguments: &Arguments) -> Result<Exit, Failure> {
    context.out.data(&script(arguments.shell))?;
    Ok(Exit::Passed)
}

/// Verbs that take a run, and verbs that take an agent, right behind them.
const OF_RUNS: [&str; 6] = ["abort", "export", "logs", "report", "status", "stop"];
const OF_AGENTS: [&str; 2] = ["revoke", "show"];

fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => generated(&shells::Bash) + &bash(),
        Shell::Zsh => zsh(&generated(&shells::Zsh)),
        Shell::Fish => generated(&shells::Fish) + &fish(),
    }
}

fn generated(shell: &impl clap_complete::Generator) -> String {
    let mut command = Cli::command();
    command.set_bin_name("nepho");
    command.build();
    let mut script = Vec::new();
    let written = shell.try_generate(&command, &mut script);
    written.expect("a vector takes everything");
    String::from_utf8(script).expect("scripts are text")
}

/// Behind a verb that takes one, a name; everywhere else what clap says.
fn bash() -> String {
    let (runs, agents) = (OF_RUNS.join("|"), OF_AGENTS.join("|"));
    format!(
        r#"
_nepho_names() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" names=
    case "${{COMP_WORDS[COMP_CWORD-1]}}" in
        {runs}) names=runs ;;
        {agents}) names=agents ;;
    esac
    if [[ -n "$names" && "$cur" != -* ]]; then
        COMPREPLY=( $(compgen -W "$("${{COMP_WORDS[0]}}" names "$names" 2>/dev/null)" -- "$cur") )
    else
        _nepho "$@"
    fi
}}
complete -F _nepho_names -o bashdefault -o default nepho
"#
    )
}

/// zsh's script names what completes each argument; for ours that is "anything".
fn zsh(script: &str) -> String {
    let functions = "\
_nepho_runs() { local -a names=(${(f)\"$(nepho names runs 2>/dev/null)\"}); compadd -a names }
_nepho_agents() { local -a names=(${(f)\"$(nepho names agents 2>/dev/null)\"}); compadd -a names }

";
    let mut with_names = String::new();
    for line in script.lines() {
        if line.starts_with("if [ \"$funcstack[1]\"") {
            with_names.push_str(functions);
        }
        let argument = line.trim_start_matches(['\'', ':']);
        let names = match () {
            () if argument.starts_with("run -- ") => "_nepho_runs",
            () if argument.starts_with("agent -- ") => "_nepho_agents",
            () => "_default",
        };
        with_names.push_str(&line.replace(":_default'", &format!(":{names}'")));
        with_names.push('\n');
    }
    with_names
}

fn fish() -> String {
    let lines = |verbs: &[&str], names: &str| -> String {
        let line = |verb: &&str| {
            format!(
                "complete -c nepho -n \"__fish_seen_subcommand_from {verb}\" -f \
                 -a \"(nepho names {names} 2>/dev/null)\"\n"
            )
        };
        verbs.iter().map(line).collect()
    };
    lines(&OF_RUNS, "runs") + &lines(&OF_AGENTS, "agents")
}

/// Prints the names of what there is, one a line, for shells.
#[derive(Debug, Args)]
pub(super) struct NamesArguments {
    /// Of what.
    #[arg(value_enum)]
    of: Names,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Names {
    Runs,
    Agents,
}

pub(super) async fn names(
    context: &mut Context,
    arguments: &NamesArguments,
) -> Result<Exit, Failure> {
    let client = context.client()?;
    let names: Vec<String> = match arguments.of {
        Names::Runs => {
            let runs = client.runs().await?.runs.into_iter();
            runs.map(|run| run.run.to_string()).collect()
        }
        Names::Agents => {
            let agents = client.agents().await?.agents.into_iter();
            agents.map(|agent| agent.agent.to_string()).collect()
        }
    };
    for name in names {
        context.out.data(&name)?;
    }
    Ok(Exit::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_knows_every_verb_and_asks_for_names() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for verb in Cli::command()
                .get_subcommands()
                .filter(|verb| !verb.is_hide_set())
            {
                assert!(
                    script.contains(verb.get_name()),
                    "{shell:?} {}",
                    verb.get_name()
                );
            }
            assert!(
                script.contains("names runs") || script.contains("names=runs"),
                "{shell:?}"
            );
        }
    }

    #[test]
    fn in_zsh_each_verb_that_takes_a_run_or_an_agent_completes_it() {
        let script = script(Shell::Zsh);
        assert_eq!(
            script.matches(":_nepho_runs'").count(),
            OF_RUNS.len(),
            "{script}"
        );
        assert_eq!(
            script.matches(":_nepho_agents'").count(),
            OF_AGENTS.len(),
            "{script}"
        );
        let (functions, call) = (script.find("_nepho_runs()"), script.find("$funcstack[1]"));
        assert!(functions.unwrap() < call.unwrap(), "{script}");
    }
}
