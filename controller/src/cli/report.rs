//! `nepho report`: what a run found, folded anew from its journal.

use std::path::{Path, PathBuf};

use clap::Args;
use nepho_common::id::RunId;
use nepho_controller_core::report::render::{
    Lang, github, html, json, junit, markdown, terminal, terminal::Colour,
};

use super::{Context, Failure, artifacts, execute, found::Found, out, summary::SummaryArgument};
use crate::{exit::Exit, export};

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

    fn render(self, found: &Found, colour: Colour) -> String {
        let (told, lang) = (found.told(), found.lang());
        match self {
            Self::Text => terminal::render(told, lang, colour),
            Self::Html => html::render(told, lang),
            Self::Json => json::render(found.data()),
            Self::Markdown => markdown::render(told, lang),
            Self::Junit => junit::render(told, lang),
            Self::Github => github::summary(told, lang),
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
    let lang = context.lang;
    let found = match (run, from) {
        (_, Some(folder)) => refold(folder, revision, lang).await?,
        (Some(run), None) => Found::of_run(&context.client()?, &run, revision, lang).await?,
        (None, None) => return Err(Failure::Usage("name a run, or a run directory".to_owned())),
    };
    if format.contains(&Form::Github) {
        let annotations = github::annotations(found.told(), lang);
        annotations.lines().for_each(|line| context.out.say(line));
    }
    match (out, format.as_slice()) {
        (Some(folder), forms) => {
            let all = [Form::Html, Form::Markdown, Form::Json];
            let forms = if forms.is_empty() { &all } else { forms };
            write(context, &found, &folder, forms)?;
        }
        (None, [form]) => {
            let colour = colour(&context.out);
            context.out.data(&form.render(&found, colour))?;
        }
        (None, _) => execute::print(context, &found, summary)?,
    }
    Ok(Exit::of_report(found.data()))
}

fn colour(out: &out::Out) -> Colour {
    if out.data_color() {
        Colour::Ansi
    } else {
        Colour::None
    }
}

async fn refold(folder: PathBuf, revision: Option<u32>, lang: Lang) -> Result<Found, Failure> {
    let read = tokio::task::spawn_blocking(move || export::read_run_dir(&folder));
    let (_, records) = read.await.expect("reading does not panic")?;
    let missing = || {
        let which = revision.map_or_else(String::new, |number| format!(" {number}"));
        Failure::Usage(format!("the journal has no revision{which} of the report"))
    };
    Found::of_records(records, revision, lang).ok_or_else(missing)
}

fn write(context: &Context, found: &Found, folder: &Path, forms: &[Form]) -> Result<(), Failure> {
    artifacts::make(folder)?;
    for form in forms {
        let path = folder.join(form.file());
        artifacts::write_text(&path, &form.render(found, Colour::None))?;
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
