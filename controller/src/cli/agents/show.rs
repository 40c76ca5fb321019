//! `nepho agents show`: one agent in full.

use nepho_common::id::{AgentId, Feature};

use super::{policy, state};
use crate::{
    cli::{Context, Failure, out::Format},
    exit::Exit,
    view::{AgentDetail, CertificateView, SpoolView},
    web::document::Document,
};

pub(super) async fn perform(context: &mut Context, agent: &AgentId) -> Result<Exit, Failure> {
    let detail = context.client()?.agent(agent).await?;
    match context.out.format() {
        Format::Text => context.out.data(&text(&detail))?,
        Format::Json | Format::Ndjson => context.out.json(&Document::of(detail))?,
    }
    Ok(Exit::Passed)
}

/// A line for each fact; what is not known is left out.
fn text(detail: &AgentDetail) -> String {
    let AgentDetail {
        view,
        identity,
        enrolled,
        certificate,
        next,
        connections,
        spools,
    } = detail;
    let mut lines = vec![
        ("agent", view.agent.to_string()),
        ("state", state(view).to_owned()),
        ("environment", view.environment.to_string()),
        ("identity", identity.clone()),
        ("enrolled", enrolled.to_string()),
    ];
    if let Some(since) = view.revoked {
        lines.push(("revoked", format!("{since}; its name is not given again")));
    }
    let until = |one: &CertificateView| format!("{}, until {}", one.serial, one.not_after);
    lines.push(("certificate", until(certificate)));
    if let Some(next) = next {
        lines.push(("next", format!("{}, not shown yet", until(next))));
    }
    let session = match (view.connected, connections) {
        (true, open) => format!("open, over {open} connections"),
        (false, 0) => "none".to_owned(),
        (false, open) => format!("none, {open} connections"),
    };
    lines.push(("session", session));
    if let Some(silent) = view.silent_for {
        lines.push(("heard", format!("{silent} ago")));
    }
    if let Some(clock) = view.clock {
        // Where monotonic clocks begin is chance; how well their offset is known is not.
        lines.push(("clock", format!("known to ±{}", clock.width().half())));
    }
    if let Some(trip) = view.round_trip {
        lines.push(("round trip", trip.to_string()));
    }
    if let Some(host) = &view.host {
        let memory = host.memory >> 20;
        let about = format!(
            "{}: {}, Linux {}, {}, {} processors, {memory} MiB",
            host.name, host.os, host.kernel, host.arch, host.cpus
        );
        lines.push(("version", host.version.clone()));
        lines.push(("host", about));
    }
    if !view.features.is_empty() {
        let can: Vec<_> = view.features.iter().map(Feature::as_str).collect();
        lines.push(("can", can.join(", ")));
    }
    if let Some(said) = policy(view) {
        lines.push(("policy", said));
    }
    for run in &view.runs {
        lines.push(("run", run.to_string()));
    }
    for SpoolView { spool, committed } in spools {
        lines.push(("spool", format!("{spool}, committed up to {committed}")));
    }
    let line = |(name, value)| format!("{name:<12}  {value}\n");
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use nepho_common::{
        control::Host,
        id::{Seq, SpoolId},
        time::{ClockOffset, Nanos, WallMillis},
    };

    use super::*;
    use crate::view::AgentView;

    const NOW: i64 = 1_795_393_620_000;

    fn away() -> AgentDetail {
        AgentDetail {
            view: AgentView::unseen("aliyun-1".parse().unwrap(), "aliyun".parse().unwrap()),
            identity: "spiffe://nephoscope/agent/aliyun-1".to_owned(),
            enrolled: WallMillis(NOW),
            certificate: CertificateView {
                serial: "4f00".to_owned(),
                not_after: WallMillis(NOW + 86_400_000),
            },
            next: None,
            connections: 0,
            spools: Vec::new(),
        }
    }

    fn here() -> AgentDetail {
        let away = away();
        AgentDetail {
            view: AgentView {
                connected: true,
                silent_for: Some(Nanos::from_millis(1200)),
                host: Some(Host {
                    name: "笔记本".to_owned(),
                    os: "Debian GNU/Linux 12".to_owned(),
                    kernel: "6.1.0".to_owned(),
                    arch: "x86_64".to_owned(),
                    cpus: 2,
                    memory: 4 << 30,
                    version: "0.1.0".to_owned(),
                }),
                features: vec!["probe.http".parse().unwrap(), "probe.tcp".parse().unwrap()],
                clock: Some(ClockOffset {
                    lo: -40_000,
                    hi: 60_000,
                }),
                round_trip: Some(Nanos(100_000)),
                runs: vec!["r1".parse().unwrap()],
                ..away.view
            },
            next: Some(CertificateView {
                serial: "4f01".to_owned(),
                not_after: WallMillis(NOW + 2 * 86_400_000),
            }),
            connections: 2,
            spools: vec![SpoolView {
                spool: SpoolId::new([7; 16]),
                committed: Seq(41),
            }],
            ..away
        }
    }

    #[test]
    fn an_agent_is_shown_in_full() {
        let mut revoked = away();
        revoked.view.revoked = Some(WallMillis(NOW + 1000));
        let all = [here(), away(), revoked].map(|one| text(&one));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn its_document_reads_back() {
        let document = Document::of(here());
        let json = serde_json::to_string_pretty(&document).unwrap();
        let back: Document<AgentDetail> = serde_json::from_str(&json).unwrap();
        assert_eq!(back, document);
        insta::assert_snapshot!(json);
    }
}
