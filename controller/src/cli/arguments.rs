//! What can be typed, and who does it.

use std::{path::PathBuf, pin::Pin};

use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use nepho_controller_core::report::render::Lang;

use super::{
    Context, Failure, Out, agents, calibrate, colour, completion, controller, demo, doctor, enroll,
    explain, export, init, lang, load, logs,
    out::{Color, Format},
    patience::{self, patiently},
    plan, report, run, runs, schema, status, stop, validate,
};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  nepho demo                              three clouds on this machine, in two minutes
  nepho init my-scenarios                 a fleet and a first scenario to begin with
  nepho validate first.yaml               every mistake at once, with line and caret
  nepho run first.yaml --local            measure from here, without a controller
  nepho controller                        listen for agents
  nepho enroll --environment local        a join token for the next agent
  nepho explain 10                        what an exit code or a diagnostic means";

/// Measures services across clouds: can everything reach everything, and how fast?
///
/// Data goes to stdout, talk to stderr. Exit codes: 0 all passed, 3 a file is wrong, 5 no
/// controller, 7 refused, 10 an expectation failed, 11 not decided; `nepho explain exit-codes`
/// lists all of them.
#[derive(Debug, Parser)]
#[command(name = "nepho", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// How data is written to stdout.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text"
    )]
    output: Format,
    /// When to use colour; NO_COLOR is honoured.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto"
    )]
    color: Color,
    /// The language of reports: en or zh-CN; else the one of LC_ALL, LC_MESSAGES or LANG.
    #[arg(long, global = true, env = "NEPHO_LANG", hide_env_values = true, value_name = "LANG", value_parser = lang::parse)]
    lang: Option<Lang>,
    /// Only data and errors, no talk.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Log more on stderr; again for still more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// The controller, as unix:///PATH/nepho.sock; else the one in the default data directory.
    #[arg(
        long,
        global = true,
        env = "NEPHO_CONTROLLER",
        hide_env_values = true,
        value_name = "URL"
    )]
    controller: Option<String>,
    /// Where nepho-agent and nepho-sample-fleet are; else beside this program.
    #[arg(
        long,
        global = true,
        env = "NEPHO_BIN_DIR",
        hide_env_values = true,
        value_name = "DIR"
    )]
    bin_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Arguments),
    Init(init::Arguments),
    Validate(validate::Arguments),
    Plan(plan::Arguments),
    Run(run::Arguments),
    Status(status::Arguments),
    Logs(logs::Arguments),
    Stop(stop::StopArguments),
    Abort(stop::AbortArguments),
    Runs(runs::Arguments),
    Report(report::Arguments),
    Export(export::Arguments),
    Load(load::Arguments),
    Calibrate(calibrate::Arguments),
    Agents(agents::Arguments),
    Enroll(enroll::Arguments),
    Controller(controller::Arguments),
    Doctor(doctor::Arguments),
    Schema(schema::Arguments),
    Explain(explain::Arguments),
    Completion(completion::Arguments),
    #[command(hide = true)]
    Names(completion::NamesArguments),
}

impl Cli {
    /// How much to log, unless NEPHO_LOG says it.
    #[must_use]
    pub const fn log(&self) -> &'static str {
        match (self.global.quiet, self.global.verbose) {
            (true, _) => "error",
            (false, 0) => "warn",
            (false, 1) => "info",
            (false, 2) => "info,nepho_controller=debug",
            (false, _) => "debug,nepho_controller=trace",
        }
    }

    /// Reads what was typed. Help and mistakes are printed here, and end the program.
    #[must_use]
    pub fn read() -> Self {
        let matches = Self::command().color(colour::of_clap()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|mistake| mistake.exit())
    }

    /// Whether the log on stderr may be coloured.
    #[must_use]
    pub fn log_color(&self) -> bool {
        let Global {
            output,
            color,
            quiet,
            ..
        } = self.global;
        Out::new(output, color, colour::is_unwanted(), quiet).talk_color()
    }

    /// Does what was typed. What went wrong has been said when this returns.
    pub async fn perform(self) -> Exit {
        let Self { global, verb } = self;
        let out = Out::new(
            global.output,
            global.color,
            colour::is_unwanted(),
            global.quiet,
        );
        let lang = lang::choose(global.lang);
        let mut context = Context::new(out, lang, global.controller, global.bin_dir);
        match verb.perform(&mut context).await {
            Ok(exit) => exit,
            Err(failure) => {
                context.out.complain(&failure);
                failure.exit()
            }
        }
    }
}

/// A verb at work.
type Perform<'a> = Pin<Box<dyn Future<Output = Result<Exit, Failure>> + 'a>>;

impl Verb {
    /// Futures are boxed: the largest would make all of them large.
    async fn perform(self, context: &mut Context) -> Result<Exit, Failure> {
        // What shows its own progress, or is done at once, needs none.
        let say = patience::voice(&context.out);
        let slow = async |what: &str, work: Perform<'_>| patiently(&say, what, work).await;
        match self {
            Self::Demo(arguments) => Box::pin(demo::perform(context, arguments)).await,
            Self::Init(arguments) => init::perform(context, &arguments),
            Self::Validate(arguments) => validate::perform(context, &arguments),
            Self::Plan(arguments) => {
                slow(
                    "waiting for the controller",
                    Box::pin(plan::perform(context, &arguments)),
                )
                .await
            }
            Self::Run(arguments) => Box::pin(run::perform(context, arguments)).await,
            Self::Status(arguments) => Box::pin(status::perform(context, arguments)).await,
            Self::Logs(arguments) => Box::pin(logs::perform(context, arguments)).await,
            Self::Stop(arguments) => {
                slow(
                    "waiting for the controller",
                    Box::pin(stop::stop(context, arguments)),
                )
                .await
            }
            Self::Abort(arguments) => {
                slow(
                    "waiting for the controller",
                    Box::pin(stop::abort(context, arguments)),
                )
                .await
            }
            Self::Runs(arguments) => {
                slow(
                    "waiting for the controller",
                    Box::pin(runs::perform(context, &arguments)),
                )
                .await
            }
            Self::Report(arguments) => {
                slow(
                    "the report is being made",
                    Box::pin(report::perform(context, arguments)),
                )
                .await
            }
            Self::Export(arguments) => {
                slow(
                    "the run directory is being written",
                    Box::pin(export::perform(context, arguments)),
                )
                .await
            }
            Self::Agents(arguments) => {
                slow(
                    "waiting for the controller",
                    Box::pin(agents::perform(context, &arguments)),
                )
                .await
            }
            Self::Enroll(arguments) => {
                slow(
                    "waiting for the controller",
                    Box::pin(enroll::perform(context, arguments)),
                )
                .await
            }
            Self::Controller(arguments) => Box::pin(controller::perform(context, arguments)).await,
            Self::Doctor(arguments) => {
                slow(
                    "the doctor is looking",
                    Box::pin(doctor::perform(context, arguments)),
                )
                .await
            }
            Self::Load(arguments) => Box::pin(load::perform(context, arguments)).await,
            Self::Calibrate(arguments) => Box::pin(calibrate::perform(context, arguments)).await,
            Self::Schema(arguments) => schema::perform(context, arguments),
            Self::Explain(arguments) => explain::perform(context, &arguments),
            Self::Completion(arguments) => completion::perform(context, &arguments),
            Self::Names(arguments) => completion::names(context, &arguments).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_verb_has_examples() {
        let mut command = Cli::command().term_width(100);
        command.build();
        let mut all = command.render_long_help().to_string();
        let mut add = |path: &str, command: &mut clap::Command| {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{path}");
            // Every verb has the same global options; they are shown once, above.
            let own = help.split("\nGlobal options:").next().unwrap_or_default();
            let examples = help.split("\nExamples:").nth(1).unwrap_or_default();
            all.push_str(&format!(
                "\n======== nepho {path}\n{own}\nExamples:{}\n",
                examples.trim_end()
            ));
        };
        for verb in command.get_subcommands_mut() {
            let name = verb.get_name().to_owned();
            if name == "help" || verb.is_hide_set() {
                continue;
            }
            add(&name, verb);
            for verb in verb
                .get_subcommands_mut()
                .filter(|verb| verb.get_name() != "help")
            {
                add(&format!("{name} {}", verb.get_name()), verb);
            }
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn verbs_and_options_of_later_releases_are_absent() {
        for words in [
            vec!["nepho", "compare", "a", "b"],
            vec!["nepho", "demo", "--full"],
            vec!["nepho", "--lang", "de", "runs"],
        ] {
            assert!(Cli::try_parse_from(&words).is_err(), "{words:?}");
        }
    }
}
