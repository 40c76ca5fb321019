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
    loads::{Compared, GAP_MAX, Second},
    said::{Said, said},
    sample::Sample,
};

/// A 99th percentile of the send lag above this is worth a word: requests were not sent when they
/// were due.
const LAG_MAX: Nanos = Nanos::from_millis(1);
/// The most of a core that a thread may use and still be believed to have been free when a request
/// was due.
pub(super) const BUSY: f64 = 0.8;

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
    compare((agent, stage, step), &sample, doubts);
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

/// Doubts lanes that saw more than their reference lane.
fn compare(
    (agent, stage, step): (&AgentId, &PlannedStage, &PlannedStep),
    sample: &Sample<'_>,
    doubts: &mut Doubts,
) {
    let compared = sample.compared.filter(|one| one.added().is_some());
    let Some(Compared { lanes, reference }) = compared else {
        return;
    };
    let (stage, step) = (&stage.name, &step.name);
    let text = said!(
        "{agent} may add to what it measures in {stage}/{step}: its loaded lanes saw {lanes} at the \
         median, its reference lane {reference} on the same target; a target that queues for each \
         connection shows the same",
        "{agent} 在 {stage}/{step} 中可能增大了测量值：其负载通道的中位数为 {lanes}，而参考通道对同一目标为 \
         {reference}；按连接排队的目标也会如此"
    );
    doubts.add(
        Code::Generator,
        format!("{agent}/{stage}/{step}/reference"),
        text,
    );
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
