//! `nepho report`: what a run found, folded anew from its journal.

use std::path::{Path, PathBuf};

use clap::Args;
use nepho_common::id::RunId;
use nepho_controller_core::report::{
    Report,
    render::{Lang, github, html, json, junit, markdown, terminal, terminal::Colour},
};

use super::{Context, Failure, artifacts, execute, out, summary::SummaryArgument};
use crate::{exit::Exit, export, scribe};

const EXAMPLES: &str = "\
Examples:
  nepho report 20261123-081500-0a1b
  nepho report 20261123-081500-0a1b --format html > report.html
  nepho report 20261123-081500-0a1b --format md --lang zh-CN > report.md
  nepho report 20261123-081500-0a1b --revision 1
  nepho report --from ./nepho-runs/20261123-081500-0a1b --format html,md,json --out ./report";

/// Prints a run's report, folded anew from its journal. The exit code is the run's.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The run.
    #[arg(
        value_name = "RUN",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    run: Option<RunId>,
    /// text, html, md, json, junit or github; several only with --out. For github the summary is
    /// printed (append it to $GITHUB_STEP_SUMMARY) and the annotations go to stderr, where the
    /// runner finds them.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = form)]
    format: Vec<Form>,
    /// As it was in this revision; without it the latest. Results that arrive after the end of a
    /// run make a new one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    revision: Option<u32>,
    /// Read this run directory instead of asking a controller.
    #[arg(long, value_name = "RUN_DIR")]
    from: Option<PathBuf>,
    /// Write report.html, report.md and the like into this folder instead of to stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    summary: SummaryArgument,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Html,
    Json,
    Markdown,
    Junit,
    Github,
}

impl Form {
    const fn file(self) -> &'static str {
        match self {
            Self::Text => "report.txt",
            Self::Html => "report.html",
            Self::Json => "report.json",
            Self::Markdown => "report.md",
            Self::Junit => "report.junit.xml",
            Self::Github => "report.github.md",
        }
    }

    fn render(self, report: &Report, lang: Lang, colour: Colour) -> String {
        match self {
            Self::Text => terminal::render(report, lang, colour),
            Self::Html => html::render(report, lang),
            Self::Json => json::render(report),
            Self::Markdown => markdown::render(report, lang),
            Self::Junit => junit::render(report, lang),
            Self::Github => github::summary(report, lang),
        }
    }
}

fn form(text: &str) -> Result<Form, String> {
    match text {
        "text" => Ok(Form::Text),
        "html" => Ok(Form::Html),
        "json" => Ok(Form::Json),
        "md" => Ok(Form::Markdown),
        "junit" => Ok(Form::Junit),
        "github" => Ok(Form::Github),
        _ => Err("the formats are text, html, md, json, junit and github".to_owned()),
    }
}

pub(super) async fn perform(context: &mut Context, arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments {
        run,
        format,
        revision,
        from,
        out,
        summary,
    } = arguments;
    let several = "several formats need a folder: add --out DIR".to_owned();
    if format.len() > 1 && out.is_none() {
        return Err(Failure::Usage(several));
    }
    let report = match (run, from) {
        (_, Some(folder)) => refold(folder, revision).await?,
        (Some(run), None) => context.client()?.report(&run, revision).await?,
        (None, None) => return Err(Failure::Usage("name a run, or a run directory".to_owned())),
    };
    if format.contains(&Form::Github) {
        let annotations = github::annotations(&report, context.lang);
        annotations.lines().for_each(|line| context.out.say(line));
    }
    match (out, format.as_slice()) {
        (Some(folder), forms) => {
            let all = [Form::Html, Form::Markdown, Form::Json];
            let forms = if forms.is_empty() { &all } else { forms };
            write(context, &report, &folder, forms)?;
        }
        (None, [form]) => {
            let colour = colour(&context.out);
            context
                .out
                .data(&form.render(&report, context.lang, colour))?;
        }
        (None, _) => execute::print(context, &report, summary)?,
    }
    Ok(Exit::of_report(&report))
}

fn colour(out: &out::Out) -> Colour {
    if out.data_color() {
        Colour::Ansi
    } else {
        Colour::None
    }
}

async fn refold(folder: PathBuf, revision: Option<u32>) -> Result<Report, Failure> {
    let read = tokio::task::spawn_blocking(move || export::read_run_dir(&folder));
    let (_, records) = read.await.expect("reading does not panic")?;
    let Some(revision) = revision else {
        return Ok(scribe::refold(records));
    };
    let missing = || {
        Failure::Usage(format!(
            "the journal has no revision {revision} of the report"
        ))
    };
    scribe::refold_as_of(revision, records).ok_or_else(missing)
}

fn write(context: &Context, report: &Report, folder: &Path, forms: &[Form]) -> Result<(), Failure> {
    artifacts::make(folder)?;
    for form in forms {
        let path = folder.join(form.file());
        artifacts::write_text(&path, &form.render(report, context.lang, Colour::None))?;
        context.out.say(&format!("report  {}", path.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_there_is_not_is_refused_with_those_that_there_are() {
        assert_eq!(form("md"), Ok(Form::Markdown));
        assert_eq!(form("github"), Ok(Form::Github));
        assert!(form("doc").unwrap_err().contains("junit"));
    }
}
