//! What happened to agents, for people.

use nepho_common::{control::Refusal, id::Feature};

use crate::report::{
    model::LostSpan,
    said::{Said, said},
};

/// A lost span, for people.
pub(in crate::report) fn span_text(span: &LostSpan) -> Said {
    let from = span.from_ns;
    let Some(to) = span.to_ns else {
        return said!(
            "lost from {from} on and never heard of again",
            "从 {from} 起失联，再无音信"
        );
    };
    let long = to.since(from);
    if span.restarted {
        said!(
            "lost from {from} to {to} ({long}), and it was restarted",
            "{from} 至 {to} 失联（{long}），期间重启过"
        )
    } else {
        said!(
            "lost from {from} to {to} ({long})",
            "{from} 至 {to} 失联（{long}）"
        )
    }
}

/// Why an agent refused, for people. What it says in words of its own stays as it is.
pub(super) fn refusal(why: &Refusal) -> Said {
    let zh = match why {
        Refusal::Busy(run) => format!("正忙于运行 {run}"),
        Refusal::Unsupported(features) => {
            let all: Vec<_> = features.iter().map(Feature::as_str).collect();
            format!("该探针不支持 {}", all.join("、"))
        }
        Refusal::Invalid(said) => format!("任务不可接受：“{said}”"),
        Refusal::Fenced => "该运行已由更新的控制器接管".to_owned(),
        Refusal::Policy(said) => format!("探针的策略不允许：“{said}”"),
        Refusal::Leaving => "该探针正在停止".to_owned(),
        Refusal::Late(by) => format!("启动命令迟到了 {}ms", by.0 / 1_000_000),
    };
    Said::new(why.to_string(), zh)
}
