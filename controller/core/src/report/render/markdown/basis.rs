//! What the verdicts rest on: agents, conditions, doubts, evidence.

use super::{
    super::super::model::{Evidence, Report, Verdict},
    Page, safe, words,
};

impl Page {
    pub(super) fn agents(&mut self, report: &Report) {
        if report.agents.is_empty() {
            return;
        }
        self.heading("Agents");
        let rows = report.agents.iter().map(|agent| {
            let environment = agent
                .environment
                .as_ref()
                .map_or("?".to_owned(), |name| name.to_string());
            let sealed: Vec<_> = agent.sealed.iter().map(|stage| stage.as_str()).collect();
            let gaps = words::gaps(agent);
            vec![
                agent.agent.to_string(),
                environment,
                agent.samples.to_string(),
                agent.records.values().sum::<u64>().to_string(),
                sealed.join(", "),
                if gaps.is_empty() {
                    "nothing".to_owned()
                } else {
                    gaps.join("; ")
                },
            ]
        });
        let head = [
            "agent",
            "environment",
            "requests",
            "records",
            "proven complete",
            "missing",
        ];
        self.table(&head, rows);
    }

    pub(super) fn conditions(&mut self, report: &Report) {
        let conditions = &report.conditions;
        self.heading("Conditions");
        if let Some(plan) = conditions.plan {
            self.line(format!("- plan {}", plan.0.short()));
        }
        if let Some(end) = &conditions.end {
            self.line(format!("- the run {}", safe(end)));
        }
        if let Some(worst) = &conditions.worst_start {
            self.line(format!(
                "- worst start: {} in {}, {}",
                safe(worst.agent.as_str()),
                safe(worst.stage.as_str()),
                words::start(worst)
            ));
        }
        for (agent, clock) in &conditions.clocks {
            let kept = if clock.synchronised {
                "kept"
            } else {
                "not kept by anybody"
            };
            self.line(format!(
                "- wall clock of {}: {kept}, within {}",
                safe(agent.as_str()),
                clock.max_error
            ));
        }
        for (name, digest) in &conditions.files {
            let name = if name.is_empty() { "scenario" } else { name };
            self.line(format!("- file {}: sha256 {}", safe(name), digest.short()));
        }
        let hosts = conditions
            .hosts
            .iter()
            .map(|(agent, host)| (agent.as_str(), host));
        let controller = conditions
            .controller
            .iter()
            .map(|host| ("controller", host));
        let rows: Vec<_> = controller
            .chain(hosts)
            .map(|(who, host)| {
                vec![
                    who.to_owned(),
                    host.name.clone(),
                    format!("{}, {}, {}", host.os, host.kernel, host.arch),
                    format!("{} cpus, {} MiB", host.cpus, host.memory >> 20),
                    host.version.clone(),
                ]
            })
            .collect();
        if rows.is_empty() {
            self.line("- nothing is known of the hosts");
            return;
        }
        self.line("");
        self.table(&["who", "host", "system", "size", "version"], rows);
    }

    pub(super) fn doubts(&mut self, report: &Report) {
        if report.doubts.is_empty() {
            return;
        }
        self.heading("Doubts");
        for doubt in &report.doubts {
            let about = if doubt.about.is_empty() {
                "the run"
            } else {
                &doubt.about
            };
            self.line(format!(
                "- {} ({}): {}",
                doubt.code.word(),
                safe(about),
                safe(&doubt.text)
            ));
        }
    }

    pub(super) fn evidence(&mut self, report: &Report) {
        let open = report
            .findings
            .iter()
            .filter(|finding| finding.verdict != Verdict::Pass);
        let rows: Vec<_> = open
            .flat_map(|finding| finding.evidence.iter().map(move |one| (finding, one)))
            .map(|(finding, one)| vec![finding.id.clone(), one.agent.to_string(), place(one)])
            .collect();
        if rows.is_empty() {
            return;
        }
        self.heading("Evidence");
        self.line("Records of the journal behind what did not pass; the JSON report has those of every finding.");
        self.line("");
        self.table(&["finding", "agent", "records"], rows);
    }
}

/// `3 to 9 in spool 01010101 (4)`.
fn place(evidence: &Evidence) -> String {
    let spool: String = evidence.spool.to_string().chars().take(8).collect();
    let Evidence {
        from, to, records, ..
    } = evidence;
    if from == to {
        return format!("{from} in spool {spool}");
    }
    format!("{from} to {to} in spool {spool} ({records} of them)")
}
