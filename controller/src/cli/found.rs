//! What a run found: in English for programs, and in the language of the reader for people.

use nepho_common::{id::RunId, journal::Record};
use nepho_controller_core::report::{Report, render::Lang};

use super::Failure;
use crate::{
    scribe,
    web::{Client, ClientError, refusal::Blame},
};

/// The report of one run, in one or two languages.
#[derive(Debug)]
pub(super) struct Found {
    data: Report,
    /// When it is not in English.
    told: Option<Report>,
    lang: Lang,
}

impl Found {
    /// Asks a controller for it: the latest, or this revision.
    pub(super) async fn of_run(
        client: &Client,
        run: &RunId,
        revision: Option<u32>,
        lang: Lang,
    ) -> Result<Self, Failure> {
        let data = client.report(run, revision, Lang::En).await?;
        // Another may have been made meanwhile: both are of one revision, or of a run under way.
        let made = data.revision.as_ref().filter(|one| one.closed);
        let revision = revision.or(made.map(|one| one.number));
        let told = match lang {
            Lang::En => None,
            Lang::ZhCn => match client.report(run, revision, lang).await {
                Ok(told) => Some(told),
                // A controller of an earlier release has sentences in English alone.
                Err(ClientError::Refused(why)) if why.code == Blame::BadRequest => None,
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Self { data, told, lang })
    }

    /// Folds it from records; `None` when they have no such revision.
    pub(super) fn of_records(
        records: Vec<Record>,
        revision: Option<u32>,
        lang: Lang,
    ) -> Option<Self> {
        let told = match lang {
            Lang::En => None,
            Lang::ZhCn => Some(scribe::refold_in(lang, revision, records.clone())?),
        };
        let data = scribe::refold_in(Lang::En, revision, records)?;
        Some(Self { data, told, lang })
    }

    /// For programs.
    pub(super) const fn data(&self) -> &Report {
        &self.data
    }

    /// For people.
    pub(super) fn told(&self) -> &Report {
        self.told.as_ref().unwrap_or(&self.data)
    }

    /// In which [`Found::told`] is written.
    pub(super) const fn lang(&self) -> Lang {
        self.lang
    }
}
