//! `nepho explain`: what a code means.

use clap::Args;
use nepho_controller_core::diagnose;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, Failure, out::Format};
use crate::{
    exit::Exit,
    web::document::{Body, Document},
};

const EXAMPLES: &str = "\
Examples:
  nepho explain N0201        a diagnostic of a file
  nepho explain 10           an exit code
  nepho explain exit-codes   all of them
  nepho explain codes        every diagnostic's code";

/// Says what a diagnostic's code or an exit code means.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// N0201, an exit code, `exit-codes` or `codes`.
    #[arg(value_name = "CODE")]
    code: String,
}

/// What a code means.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Explanation {
    /// The code, as it was asked for.
    code: String,
    /// What it means, for people.
    text: String,
}

impl Body for Explanation {
    const SCHEMA: &'static str = "nepho.explanation/v1";
}

pub(super) fn perform(context: &mut Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let code = arguments.code.as_str();
    let text = explain(code).ok_or_else(|| {
        Failure::Usage(format!(
            "there is no code {code:?}; `nepho explain codes` and `nepho explain exit-codes` \
             list them"
        ))
    })?;
    match context.out.format() {
        Format::Text => context.out.data(&text)?,
        Format::Json | Format::Ndjson => {
            let code = code.to_owned();
            context
                .out
                .json(&Document::of(Explanation { code, text }))?;
        }
    }
    Ok(Exit::Passed)
}

fn explain(code: &str) -> Option<String> {
    match code {
        "exit-codes" => Some(Exit::table()),
        "codes" => Some(diagnose::codes().map(|code| format!("{code}\n")).collect()),
        _ => match code.parse().ok().and_then(Exit::of_code) {
            Some(exit) => Some(format!("exit code {}: {}\n", exit.code(), exit.meaning())),
            None => diagnose::explain(&code.to_ascii_uppercase()).map(ToOwned::to_owned),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_can_be_explained() {
        for code in diagnose::codes() {
            assert!(explain(code).is_some(), "{code}");
        }
        for exit in Exit::ALL {
            let text = explain(&exit.code().to_string()).unwrap();
            assert!(text.contains(exit.meaning()), "{text}");
        }
        assert!(explain("n0201").is_some());
        assert!(explain("N9999").is_none());
    }
}
