//! Whether agents kept up with the load that they sent. What speaks against one is said beside every
//! verdict; what it does to a verdict is said where that is judged (`verdict/latency.rs`).

use nepho_common::{
    id::AgentId,
    plan::{PlannedStage, PlannedStep},
    time::Nanos,
};

use super::{
    doubts::{Code, Doubts},
    fold::Folded,
    loads::{GAP_MAX, Second},
    said::{Said, said},
    sample::Sample,
};

/// A 99th percentile of the send lag above this is worth a word: requests were not sent when they
/// were due.
const LAG_MAX: Nanos = Nanos::from_millis(1);
/// The most of a core that a thread may use and still be believed to have been free when a request
/// was due.
const BUSY: f64 = 0.8;

/// Doubts what an agent sent in a step.
pub(super) fn doubt(
    folded: &Folded,
    stage: &PlannedStage,
    step: &PlannedStep,
    agent: &AgentId,
    doubts: &mut Doubts,
) {
    if step.act.load().is_none() {
        return;
    }
    let mine = step.act.to().iter().filter(|path| path.agent == *agent);
    let sample = Sample::of(&folded.measurements, stage, step, mine);
    let all: Vec<_> = reasons(&sample).into_iter().collect();
    if all.is_empty() {
        return;
    }
    let why = Said::phrases(all);
    let (stage, step) = (&stage.name, &step.name);
    let text = said!(
        "{agent} did not keep up in {stage}/{step}: {why}",
        "{agent} 在 {stage}/{step} 中没有跟上：{why}";
        why
    );
    doubts.add(Code::Generator, format!("{agent}/{stage}/{step}"), text);
}

fn reasons(sample: &Sample<'_>) -> Vec<Said> {
    let Second { shed, gap, cpu, .. } = sample.generator;
    let lag = sample.lag.quantile(99, 100).unwrap_or_default();
    let mut why = Vec::new();
    if lag > LAG_MAX {
        why.push(said!(
            "requests were sent late, {lag} at the 99th percentile",
            "请求发出偏晚，99 百分位为 {lag}"
        ));
    }
    if gap > GAP_MAX {
        why.push(said!(
            "a thread stood still for {gap}",
            "有线程停顿了 {gap}"
        ));
    }
    if cpu > BUSY {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a core, above nought"
        )]
        let percent = (cpu * 100.0) as u64;
        why.push(said!(
            "a thread used {percent}% of its core",
            "有线程占用了所在核的 {percent}%"
        ));
    }
    if shed > 0 {
        why.push(said!(
            "{shed} requests were shed, because too many waited or were open",
            "因等待或进行中的请求过多，丢弃了 {shed} 个请求"
        ));
    }
    why
}
